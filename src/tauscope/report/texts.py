"""What the page says of every measurement: what it is, what its figures show, and which numbers sum it up."""

from __future__ import annotations

from dataclasses import dataclass

import xarray as xr

from tauscope.plotting.style import count


@dataclass(frozen=True)
class Text:
    """What is said of one measurement.

    Attributes
    ----------
    title, about : str
        Heading of its section, and what is measured and how.
    captions : dict of str
        What each of its figures shows, by the figure's name in `tauscope.measurements.MEASUREMENTS`.
    main : tuple of str
        Patterns (`fnmatch`) of the names of its main numbers, which are shown against N.
    """

    title: str
    about: str
    captions: dict[str, str]
    main: tuple[str, ...]


_PERTURBED = (
    "The accuracy that is left after a random change of {}, relative to the intact network: 1 is as good as intact, "
    "0 is chance. ε is the size of the change as a share of the norm of what is changed."
)

TEXTS: dict[str, Text] = {
    "timescales": Text(
        "Timescales",
        "τ is the time constant of a unit by itself; for gated units that of their mean gate. τ_net is how "
        "slowly its activity decorrelates in the network: the "
        "decay of its autocorrelation under random bits, fitted with one exponential or two, whichever has the lower "
        "AIC. Both are in time steps.",
        {
            "autocorrelation": "Autocorrelation of every unit (grey), and of three units with a short, a median and a "
            "long τ_net, with their fits.",
            "distribution": "How τ and τ_net are distributed over the units.",
        },
        ("mean tau (steps)", "mean tau_net, units > 1 (steps)"),
    ),
    "dimensionality": Text(
        "Dimensionality",
        "How many directions the activity fills under random bits: the number of principal components that hold a "
        "given share of its variance, and the participation ratio (Σλ)² / Σλ² of their variances λ.",
        {"": "Share of the variance that each principal component holds, and that all up to it hold together."},
        ("components for *", "participation ratio"),
    ),
    "connectivity": Text(
        "Connectivity",
        "The recurrent weights between different units, and the eigenvalues of the whole matrix. The spectral radius "
        "is the largest absolute eigenvalue.",
        {
            "eigenvalues": "Eigenvalues of the recurrent weights W and, for leaky units, of one step at unit gain, "
            "1 - 1/τ + W/τ.",
            "weights": "Recurrent weights of the first layer; of a gated cell, those of its first gate.",
        },
        ("mean weight *", "spectral radius *"),
    ),
    "lyapunov": Text(
        "Lyapunov exponents",
        "How fast nearby states of the network part (above 0) or meet (below 0) under the same random bits.",
        {"": "The leading exponents, the largest first."},
        ("largest Lyapunov exponent *",),
    ),
    "ablation": Text(
        "Ablation",
        "The accuracy that is left when a unit is silenced, relative to the intact network: 1 is as good as intact, 0 "
        "is chance. The slowest and the fastest units are told by τ; random ones are the control.",
        {"": "Relative accuracy without each of the ablated units, by group."},
        ("relative accuracy without *",),
    ),
    "perturbation_recurrent": Text(
        "Perturbation of the recurrent weights",
        _PERTURBED.format("the recurrent weights"),
        {"": "Relative accuracy against the size of the perturbation."},
        ("relative accuracy at epsilon 0.1", "relative accuracy at epsilon 1"),
    ),
    "perturbation_tau": Text(
        "Perturbation of τ",
        _PERTURBED.format("the timescales τ"),
        {"": "Relative accuracy against the size of the perturbation."},
        ("relative accuracy at epsilon 0.1", "relative accuracy at epsilon 1"),
    ),
    "retraining": Text(
        "Retraining",
        "How well the network learns each larger N when it is trained on that N alone, with a single head. 1 is the "
        "accuracy at the N it started from, 0 an accuracy of 1/2.",
        {"": "Relative accuracy after retraining on each N."},
        ("relative accuracy after retraining at *",),
    ),
    "forgetting": Text(
        "Forgetting",
        "The accuracy on every N, smaller and larger than the trained ones, without any further training.",
        {"": "Accuracy on every N, by the head that answers it."},
        ("mean accuracy on *",),
    ),
    "generalisation": Text(
        "Memory held by the dynamics",
        "The accuracy of a fresh linear read-out, fitted for each N while the network stays as it is: how much memory "
        "its dynamics hold beyond what it was trained for.",
        {"": "Accuracy of a fresh read-out for each N."},
        ("accuracy of a fresh read-out at *",),
    ),
    "resolution": Text(
        "Time resolution",
        "The accuracy of a continuous-time network, by its own heads, when a bit lasts k steps, that is, at time steps "
        "of 1/k of a bit: the same sequences at every k.",
        {"": "Accuracy against the time step; the resolution of the measurements above is shaded."},
        ("mean accuracy at *",),
    ),
}


def sample(result: xr.Dataset) -> str:
    """Say how many networks, trials and steps or sequences a result rests on.

    Examples
    --------
    >>> sample(xr.Dataset({"x": ("trial", [0.0, 1.0])}, attrs={"n_steps": 1000}))
    '1 network, 2 trials of 1000 steps.'
    >>> sample(xr.Dataset(attrs={"n_sequences": 2560}))
    '1 network, 2560 sequences.'
    """
    parts = ["1 network"]
    if "trial" in result.sizes:
        steps = f" of {int(result.attrs['n_steps'])} steps" if "n_steps" in result.attrs else ""
        parts.append(count(result.sizes["trial"], "trial") + steps)
    if "n_sequences" in result.attrs:
        parts.append(count(int(result.attrs["n_sequences"]), "sequence"))
    return f"{', '.join(parts)}."
