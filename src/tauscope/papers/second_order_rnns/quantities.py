"""What is measured for this paper, and the numbers that the claims compare and the figures show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from tauscope.analysis.language import ROWS, bits_per_character
from tauscope.analysis.second_order import effective_rank, multiplicative_cell, rank_truncation
from tauscope.errors import NotApplicableError
from tauscope.measurements import Measurement, Subject
from tauscope.models import CPCell
from tauscope.papers.vocabulary import Results, Trained
from tauscope.plotting.second_order import plot_bpc_by_terms, plot_singular_values
from tauscope.tasks.language import bigram_entropy
from tauscope.tasks.text import Text

Number = Callable[[xr.Dataset], float]

_BITS = {"units": "bits/character"}


# --- measured of a network --------------------------------------------------------------------------------------------


def language(subject: Subject, *, n_rows: int = ROWS) -> xr.Dataset:
    """Measure how well a network predicts its text.

    Parameters
    ----------
    subject : Subject
        A network that was trained on `tauscope.tasks.Text`.
    n_rows : int
        Rows of consecutive text that are read side by side.

    Returns
    -------
    Dataset
        ``bpc [split]`` of test, validation and training text with the state carried over; ``bpc_reset``, of the test text
        with the state set back at the start of every window, as published; ``chance`` and ``bigram``, the entropies of
        single characters of the test text and of those given the one before; ``n_parameters``; and for CP terms
        ``bpc_by_terms [terms]``, of the test text with none, 1, 2, 4, … of the strongest terms.

    Raises
    ------
    NotApplicableError
        If the network was trained on another task.
    """
    task, model = subject.task, subject.model
    if not isinstance(task, Text):
        raise NotApplicableError("the network predicts no text: expected one that was trained on task 'text'")

    splits = ("test", "valid", "train")
    found = [bits_per_character(model, task, split, n_rows=n_rows, generator=subject.generator()) for split in splits]
    (head,) = task.heads.values()
    levels = {
        "bpc_reset": bits_per_character(model, task, reset=True, generator=subject.generator()),
        "chance": head.chance,
        "bigram": bigram_entropy(task.part("test").numpy()),
    }
    return xr.Dataset(
        {
            "bpc": ("split", found, {"long_name": "bits per character", **_BITS}),
            **{name: ((), value, _BITS) for name, value in levels.items()},
            "n_parameters": ((), sum(parameter.numel() for parameter in model.parameters()), {"units": "parameters"}),
            **_by_terms(subject, task, n_rows),
        },
        coords={"split": list(splits)},
        attrs={"n_rows": n_rows, "window": task.window, "sha256": task.settled().sha256},
    )


def _by_terms(subject: Subject, task: Text, n_rows: int) -> dict[str, xr.DataArray]:
    cell = subject.model.layers[0]
    if not isinstance(cell, CPCell):
        return {}
    kept = sorted({0, cell.rank, *(2**i for i in range(cell.rank.bit_length()))} - {2 * cell.rank})
    kept = [terms for terms in kept if terms <= cell.rank]
    values = [
        bits_per_character(rank_truncation(subject.model, terms), task, n_rows=n_rows, generator=subject.generator())
        for terms in kept
    ]
    return {"bpc_by_terms": xr.DataArray(values, {"terms": kept}, "terms", attrs=_BITS)}


def language_numbers(result: xr.Dataset) -> dict[str, float]:
    """Return the bits per character and the number of parameters."""
    return {
        "bpc, state carried over": bpc(result),
        "bpc, state set back at every window": float(result["bpc_reset"]),
        "bpc of the validation text": float(result["bpc"].sel(split="valid")),
        "bpc of the training text": float(result["bpc"].sel(split="train")),
        "chance (bits)": float(result["chance"]),
        "entropy given the character before (bits)": float(result["bigram"]),
        "parameters": float(result["n_parameters"]),
    }


def _lacks_directions(subject: Subject) -> str:
    try:
        multiplicative_cell(subject.model)
    except NotApplicableError as error:
        return str(error)
    return ""


MEASUREMENTS = {
    "language": Measurement(
        language,
        {"terms": lambda result, _: plot_bpc_by_terms(result)},
        language_numbers,
        lambda subject: "" if isinstance(subject.task, Text) else "the network predicts no text: expected task 'text'",
    ),
    "directions": Measurement(
        lambda subject: effective_rank(subject.model),
        {"": lambda result, _: plot_singular_values(result)},
        lambda result: {
            "rank": float(result["rank"]),
            "effective rank": float(result["effective_rank"]),
            "largest spectral radius of a character": float(result["spectral_radius"].max()),
            "smallest spectral radius of a character": float(result["spectral_radius"].min()),
        },
        _lacks_directions,
    ),
}


# --- of networks ------------------------------------------------------------------------------------------------------


def measured(results: Results, condition: str, what: str = "language") -> dict[int, xr.Dataset]:
    """Return what was measured of every network of a condition, by the network's number."""
    found = {network.network: _last(network, what) for network in results.networks.get(condition, ())}
    return {number: result for number, result in found.items() if result is not None}


def _last(network: Trained, what: str) -> xr.Dataset | None:
    stages = {N: result for (name, N), result in network.measured.items() if name == what}
    return stages[max(stages)] if stages else None


def values(results: Results, condition: str, number: Number, what: str = "language") -> dict[int, float]:
    """Return a number of every network of a condition, by the network's number."""
    return {name: number(result) for name, result in measured(results, condition, what).items()}


def bpc(result: xr.Dataset) -> float:
    """Return the bits per character of the test text, with the state carried over."""
    return float(result["bpc"].sel(split="test"))


def valid(result: xr.Dataset) -> float:
    """Return the bits per character of the validation text."""
    return float(result["bpc"].sel(split="valid"))


def differences(results: Results, larger: str, smaller: str) -> list[float]:
    """Return by how much the bpc of two conditions differ, pair by pair.

    Networks of the same number read the same windows in the same order.
    """
    a, b = values(results, larger, bpc), values(results, smaller, bpc)
    return [a[number] - b[number] for number in a if number in b]


def better(results: Results, conditions: tuple[str, ...]) -> str | None:
    """Return the condition with the least mean bpc on the validation text, which the claims do not look at otherwise."""
    means = {name: found for name in conditions if (found := list(values(results, name, valid).values()))}
    return min(means, key=lambda name: float(np.mean(means[name])), default=None)
