"""Principal components of drives: planted ranks, brute force, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import tauscope as ts
from problems import Accumulator
from tauscope.analysis.drives import drives
from tauscope.errors import InputError, NotApplicableError
from tauscope.measurements import MEASUREMENTS, Subject
from tauscope.models import CfCCell, low_rank_sparse
from tauscope.tasks import Tracking

TASK = ts.Parity([3], length=40)


def built(cell: str, n_units: int = 12) -> ts.Model:
    return ts.build_model(cell, n_units, n_heads=4, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_recurrent_drive_of_a_planted_rank_is_held_by_as_many_components(rank: int) -> None:
    model = low_rank_sparse(built("gru"), rank, generator=torch.Generator())
    result = drives(model, TASK, n_components=rank, n_trials=20)
    share = result.share.values[result.source == "recurrent"]
    np.testing.assert_allclose(share, 1.0, rtol=0, atol=1e-12)
    fewer = drives(built("gru"), TASK, n_components=1, n_trials=20).share.values
    assert (fewer[:3] < 0.999).all()


@pytest.mark.parametrize(("cell", "gates"), [("leaky", 1), ("gru", 3), ("lstm", 4), ("cfc", 4), ("elman", 1)])
def test_shares_are_those_of_covariances_written_out(cell: str, gates: int) -> None:
    model = built(cell)
    result = drives(model, TASK, n_components=2, n_trials=10, burn_in=4, generator=torch.Generator().manual_seed(5))
    generator = torch.Generator().manual_seed(5)
    batch = TASK.sample(10, generator)
    states = ts.run(model, batch, generator).states.detach()
    weight = next(weight for weight in model.weights().values() if weight.role == "recurrent").value.detach()
    drive = (states[4:-1] @ weight.t()).reshape(-1, weight.shape[0]).numpy()
    for gate in range(gates):
        own = np.sort(np.linalg.eigvalsh(np.cov(drive[:, 12 * gate : 12 * (gate + 1)].T)))[::-1]
        assert float(result.share[gate]) == pytest.approx(own[:2].sum() / own.sum(), abs=1e-9)
    activity = np.sort(np.linalg.eigvalsh(np.cov(states[4:].reshape(-1, 12).numpy().T)))[::-1]
    assert result.source.values.tolist() == ["recurrent"] * gates + ["input"] * gates + ["state"]
    assert float(result.share[-1]) == pytest.approx(activity[:2].sum() / activity.sum(), abs=1e-9)
    # One channel drives all units in one direction.
    np.testing.assert_allclose(result.share.values[result.source == "input"], 1.0, rtol=0, atol=1e-12)


def test_what_does_not_vary_has_no_share() -> None:
    model = low_rank_sparse(built("elman"), None, 1.0, generator=torch.Generator())
    result = drives(model, TASK, n_trials=3)
    assert np.isnan(result.share.values[0])
    assert np.isfinite(result.share.values[1:]).all()


def test_networks_without_known_matrices_and_wrong_options_are_refused() -> None:
    accumulator = ts.Model([Accumulator(1, 1)], ts.Heads(1, ["N3"], 2, False, torch.Generator()))
    with pytest.raises(NotApplicableError, match="no recurrent matrices"):
        drives(accumulator, TASK)
    timed = ts.Model([CfCCell(2, 4, torch.Generator(), timed=True)], ts.Heads(4, ["out"], 2, False, torch.Generator()))
    with pytest.raises(NotApplicableError, match="see 1 of 2 channels"):
        drives(timed, Tracking(n_signals=2))
    for options, expected in (
        ({"n_components": 0}, "components"),
        ({"burn_in": 39}, "at least two steps more"),
        ({"n_trials": 0}, "trials"),
    ):
        with pytest.raises(InputError, match=expected):
            drives(built("leaky"), TASK, **options)  # type: ignore[arg-type]


def test_the_measurement_has_a_number_for_every_part() -> None:
    listed = MEASUREMENTS["drives"]
    subject = Subject(built("cfc"), ts.Parity((4,)), (2, 4), seed=1)
    result = listed.measure(subject, n_trials=3)
    numbers = listed.numbers(result)
    assert list(numbers)[:2] == [
        "share of the variance in 5 components, recurrent first",
        "share of the variance in 5 components, recurrent second",
    ]
    assert "share of the variance in 5 components, state" in numbers
    assert len(listed.figures[""](result, subject).patches) == 9
    units = ts.build_model("leaky_units", 4, n_heads=4, generator=torch.Generator().manual_seed(0))
    assert "no recurrent matrices" in listed.lacks(Subject(units, ts.Parity((2,)), (2, 3), seed=0))
