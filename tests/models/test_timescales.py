"""Maps of τ: each is what its table says, and stable or not by its own criterion."""

from __future__ import annotations

import math
import runpy
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tauscope as ts
from rounding import tolerance
from tauscope import InputError, LeakyCell
from tauscope.analysis import perturb
from tauscope.models import StableReparam, TauMap
from tauscope.models.names import TAU_MAPS

MAPS = [TauMap(name) for name in TAU_MAPS if name != "clamp"] + [TauMap("best", b=0.1), TauMap("best", a=0.5)]
# λ in (0, 1] for all w, of those that say so.
BOUNDED = [TauMap("inverse"), TauMap("sigmoid"), TauMap("best"), TauMap("best", a=3.0, b=1.5)]


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def reachable(tau_map: TauMap) -> torch.Tensor:
    """λ from 0.01 to 1 that the map reaches."""
    rates = torch.linspace(0.01, 1, 200, dtype=torch.float64)
    return rates[1 / rates >= tau_map.b] if tau_map.name == "best" else rates


@pytest.mark.parametrize("tau_map", MAPS, ids=str)
def test_the_raw_number_of_a_rate_gives_that_rate(tau_map: TauMap) -> None:
    rates = reachable(tau_map)
    w = tau_map.raw(1 / rates)
    assert torch.isfinite(w).all()
    torch.testing.assert_close(tau_map.rate(w), rates, rtol=1e-12, atol=0)
    torch.testing.assert_close(tau_map.tau(w), 1 / rates, rtol=1e-12, atol=0)


@pytest.mark.parametrize("tau_map", MAPS, ids=str)
def test_slopes_are_those_of_autograd(tau_map: TauMap) -> None:
    tau = 1 / reachable(tau_map)[:-1]
    w = tau_map.raw(tau).requires_grad_()
    (slope,) = torch.autograd.grad(tau_map.tau(w).sum(), w)
    torch.testing.assert_close(tau_map.slope(tau), slope.abs(), rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=200)
@given(
    tau_map=st.sampled_from([known for known in MAPS if known.is_stable]),
    w=st.floats(-20, 20),
    delta=st.floats(0, 2),
    sign=st.sampled_from([-1, 1]),
)
def test_a_stable_map_changes_every_memory_by_a_bounded_part(
    tau_map: TauMap, w: float, delta: float, sign: int
) -> None:
    before, after = tau_map.rate(numbers(w)), tau_map.rate(numbers(w + sign * delta))
    change = float((before / after - 1).abs())
    assert change <= tau_map.largest_change(delta) * (1 + 1e-9) + 1e-9


def test_the_bounds_are_reached_but_for_the_direct_map_which_has_none() -> None:
    for tau_map, w in (
        (TauMap("inverse"), 1.0),
        (TauMap("exp"), 3.0),
        (TauMap("sigmoid"), -30.0),
        (TauMap("softplus"), -30.0),
    ):
        before, after = tau_map.rate(numbers(w)), tau_map.rate(numbers(w + 0.1))
        if tau_map.name != "inverse":
            before, after = after, before
        assert float((before / after - 1).abs()) == pytest.approx(tau_map.largest_change(0.1), rel=1e-3), tau_map
    direct = TauMap("direct")
    assert direct.largest_change(1e-9) == math.inf
    changes = [
        float((direct.rate(numbers(w)) / direct.rate(numbers(w + 0.01)) - 1).abs()) for w in (0.1, 0.001, -0.00999)
    ]
    assert changes[0] < 0.1 < 0.9 < changes[1] < 900 < changes[2]


@settings(deadline=None, max_examples=100)
@given(tau_map=st.sampled_from(BOUNDED), w=st.floats(-1e3, 30))
def test_rates_stay_between_0_and_1_where_that_is_claimed(tau_map: TauMap, w: float) -> None:
    rate = float(tau_map.rate(numbers(w)))
    # Far below, the sigmoid rounds to its limit.
    assert 0 <= rate <= 1
    assert rate > 0 or w < -700


def test_others_can_grow_in_discrete_time() -> None:
    for tau_map, w in (
        (TauMap("exp"), 1.0),
        (TauMap("softplus"), 3.0),
        (TauMap("best", b=0.1), 0.0),
        (TauMap("direct"), -0.1),
    ):
        assert abs(1 - float(tau_map.rate(numbers(w)))) > 1, tau_map


def test_a_mode_loses_what_its_rate_changes_by() -> None:
    lags = torch.arange(20_000, dtype=torch.float64)
    for rate, moved, expected in ((0.1, 0.08, 0.25), (0.5, 0.9, 4 / 9), (0.02, 0.03, 1 / 3)):
        lost = rate * ((1 - rate) ** lags - (1 - moved) ** lags).abs().sum()
        assert float(lost) == pytest.approx(abs(rate / moved - 1), abs=1e-12) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in TAU_MAPS if name.startswith("matched_")])
def test_a_matched_map_moves_a_new_unit_as_far_as_inverse_does(name: str) -> None:
    tau_map, at = TauMap(name), numbers(1.5)
    w = tau_map.raw(at).requires_grad_()
    (slope,) = torch.autograd.grad(tau_map.tau(w).sum(), w)
    assert float(slope.abs()) == pytest.approx(1.0, abs=1e-12)
    assert tau_map.is_stable == (name != "matched_direct")


def test_matched_maps_are_those_of_their_equations() -> None:
    w = torch.linspace(-3, 3, 50, dtype=torch.float64)
    torch.testing.assert_close(TauMap("matched_sigmoid").tau(w), 1 + (-2 * w).exp(), rtol=1e-12, atol=0)
    torch.testing.assert_close(TauMap("matched_best").tau(w), 1 + w.square() / 2, rtol=1e-12, atol=0)
    rates = numbers(-1.0, 0.0, 1.0, 9.0)
    TauMap("matched_direct").project(rates, 1.0)
    torch.testing.assert_close(
        TauMap("matched_direct").rate(rates), numbers(1e-4, 1e-4, 1 / 2.25, 1.0), rtol=1e-12, atol=0
    )


def test_sgd_under_a_matched_map_is_sgd_of_another_learning_rate() -> None:
    plain, matched = cell("sigmoid").double(), cell("matched_sigmoid").double()
    inputs = torch.ones(9, 2, 1, dtype=torch.float64)
    # A step of w = s v is s² times as large as one of v.
    for leaky, lr in ((plain, 0.4), (matched, 0.1)):
        for _ in range(3):
            loss = leaky.sequence(inputs, leaky.initial_state(2))[0].square().mean()
            (gradient,) = torch.autograd.grad(loss, leaky.raw_tau)
            with torch.no_grad():
                leaky.raw_tau -= lr * gradient
    assert not torch.equal(plain.tau, cell("sigmoid").double().tau)
    torch.testing.assert_close(matched.tau, plain.tau, rtol=1e-6, atol=0)


def test_a_map_has_one_name_and_refuses_others() -> None:
    assert TauMap("clamp") == TauMap("inverse")
    with pytest.raises(InputError, match=r"tau_map 'sigmiod' is unknown: .* did you mean 'sigmoid'"):
        TauMap("sigmiod")
    with pytest.raises(InputError, match="b is 0: expected a number above 0"):
        TauMap("best", b=0)
    with pytest.raises(InputError, match=r"b of a matched map is 2: expected a number below 1\.5"):
        TauMap("matched_best", b=2.0)
    with pytest.raises(InputError, match="tau_map 'matched_inverse' is unknown"):
        TauMap("matched_inverse")
    with pytest.raises(InputError, match="of type int: expected a name, such as 'sigmoid'"):
        StableReparam(3)  # type: ignore[arg-type]


# --- cells ----------------------------------------------------------------------------------------------------------------


def cell(tau_map: str, **options: object) -> LeakyCell:
    return LeakyCell(1, 6, torch.Generator().manual_seed(0), tau_map=tau_map, **options)  # type: ignore[arg-type]


def test_the_default_is_to_the_bit_the_clamped_tau() -> None:
    leaky = cell("clamp")
    assert leaky.tau_map == "inverse"
    with torch.no_grad():
        leaky.raw_tau[0] = 0.3
    assert torch.equal(leaky.tau, leaky.raw_tau.clamp(min=1.0))
    continuous = cell("inverse", form="continuous").at_resolution(7)
    assert torch.equal(continuous.tau, (continuous.raw_tau * 7).clamp(min=1.0))


@pytest.mark.parametrize("tau_map", TAU_MAPS)
def test_all_maps_start_from_the_same_tau_and_the_same_weights(tau_map: str) -> None:
    ours, published = cell(tau_map), cell("inverse")
    torch.testing.assert_close(ours.tau, published.tau, rtol=tolerance(torch.float32), atol=0)
    assert torch.equal(ours.recurrent.weight, published.recurrent.weight)
    states, _ = ours.sequence(torch.ones(9, 2, 1), ours.initial_state(2))
    expected, _ = published.sequence(torch.ones(9, 2, 1), published.initial_state(2))
    torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tau_map", TAU_MAPS)
def test_perturbed_timescales_are_moved_themselves_or_what_is_trained(tau_map: str) -> None:
    model = ts.LeakyRNN(8, n_heads=1, tau_map=tau_map, generator=torch.Generator().manual_seed(0)).double()
    assert model.tau is not None
    as_published = perturb(model, "tau", 0.1, torch.Generator().manual_seed(1))
    change = (as_published.tau - model.tau).detach()
    assert float(change.norm() / model.tau.detach().norm()) == pytest.approx(0.1, rel=1e-9)
    assert (change >= 0).all()
    raw = perturb(model, "tau", 0.05, torch.Generator().manual_seed(1), norm="largest", space="raw")
    moved = (raw.cells[0].raw_tau - model.cells[0].raw_tau).detach()
    assert float(moved.abs().max()) == pytest.approx(0.05, rel=1e-9)
    assert set(moved.sign().tolist()) == {-1.0, 1.0}, "timescales fall too"
    same = perturb(model, "tau", 0.0, torch.Generator().manual_seed(1))
    assert torch.equal(same.cells[0].raw_tau, model.cells[0].raw_tau)


def test_a_fixed_tau_has_no_map() -> None:
    with pytest.raises(InputError, match="tau is fixed at 2, tau_map is exp: expected one of them"):
        cell("exp", tau=2.0)


def test_rates_that_are_trained_themselves_are_projected_and_a_perturbed_one_may_grow() -> None:
    leaky = cell("direct")
    with torch.no_grad():
        leaky.raw_tau.copy_(torch.tensor([-0.2, 0.0, 1e-5, 0.5, 1.0, 1.7]))
    assert leaky.tau[0] == -5
    leaky.project()
    torch.testing.assert_close(leaky.raw_tau.detach(), torch.tensor([1e-4, 1e-4, 1e-4, 0.5, 1.0, 1.0]))
    assert (leaky.tau >= 1).all()


def test_training_projects() -> None:
    model = ts.LeakyRNN(6, tau_map="direct", generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.cells[0].raw_tau.fill_(1e-4)
    recipe = ts.Recipe(epochs=1, steps_per_epoch=4, batch_size=4, test_steps=1, lr=10.0)
    ts.train(model, ts.Parity(), ts.cumulative(last=3), recipe)
    rates = model.cells[0].raw_tau
    assert ((rates >= 1e-4 * (1 - 1e-6)) & (rates <= 1)).all()
    assert not torch.equal(rates, torch.full_like(rates, 1e-4))


def test_a_parametrisation_gives_any_cell_a_map() -> None:
    example = Path(__file__).parents[2] / "docs" / "examples" / "stable_timescale.py"
    generator = torch.Generator().manual_seed(0)
    cell = runpy.run_path(str(example))["SlowCell"](1, 3, generator)
    # What is given is τ; what is kept is w.
    cell.slow = torch.tensor([1.5, 4.0, 100.0])
    assert "parametrizations.slow.original" in dict(cell.named_parameters())
    model = ts.Model([cell], ts.Heads(3, ["out"], 1, False, generator)).double()
    assert model.tau is not None
    torch.testing.assert_close(model.tau.detach(), torch.tensor([1.5, 4.0, 100.0]).double(), rtol=1e-5, atol=0)
    raw = perturb(model, "tau", 0.1, torch.Generator().manual_seed(1), norm="largest", space="raw")
    # The bound of the map: a part of the memory, however slow a unit is.
    assert float((raw.tau / model.tau - 1).abs().max().detach()) <= math.expm1(0.1)
    tau = perturb(model, "tau", 0.1, torch.Generator().manual_seed(1))
    assert float(((tau.tau - model.tau).norm() / model.tau.norm()).detach()) == pytest.approx(0.1)
    torch.testing.assert_close(perturb(model, "tau", 0.0, torch.Generator()).tau, model.tau)
