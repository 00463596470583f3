from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import delay_line
from tauscope import InputError
from tauscope.analysis import simulation
from tauscope.analysis.simulation import probabilities, random_bits, segments, simulate
from tauscope.models.wrapped import wrap
from zoo import N_UNITS, ZOO


@given(n=st.integers(1, 60), seed=st.integers(0, 2**31))
def test_by_default_probabilities_are_midpoints_of_equal_parts_in_random_order(n: int, seed: int) -> None:
    drawn = probabilities(None, n, torch.Generator().manual_seed(seed))
    np.testing.assert_allclose(drawn.sort().values, (np.arange(n) + 0.5) / n, rtol=1e-6)
    assert drawn.equal(probabilities("quantiles", n, torch.Generator().manual_seed(seed)))


def test_the_order_of_the_midpoints_is_random() -> None:
    orders = [probabilities("quantiles", 3, torch.Generator().manual_seed(seed)).argsort() for seed in range(60)]
    assert len({tuple(order.tolist()) for order in orders}) == 6


def test_probabilities_are_drawn_or_given(generator: torch.Generator) -> None:
    drawn = probabilities("uniform", 2000, generator)
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert drawn.mean().item() == pytest.approx(0.5, abs=0.03)
    assert drawn.var().item() == pytest.approx(1 / 12, abs=0.01)
    assert probabilities([0.25, 0.5], 2, generator).tolist() == [0.25, 0.5]
    assert probabilities(0.25, 3, generator).tolist() == [0.25] * 3


@pytest.mark.parametrize(
    ("p", "line"),
    [
        (1.5, r"p is 1.5: expected probabilities between 0 and 1 \(nearest valid: 1.0\)"),
        ([0.5, 0.5], r"p has shape \(2,\): expected one number or 3"),
        (float("nan"), "p is nan"),
        ("quantile", "p 'quantile' is unknown: .*did you mean 'quantiles'"),
        ("", "p '' is unknown: expected one of quantiles, uniform"),
        (["half"] * 3, "p is .*: expected probabilities between 0 and 1, or one of quantiles, uniform"),
        ({0.5}, "p is {0.5}: expected probabilities between 0 and 1, or one of quantiles, uniform"),
    ],
)
def test_other_probabilities_are_refused(p: object, line: str, generator: torch.Generator) -> None:
    with pytest.raises(InputError, match=line):
        probabilities(p, 3, generator)  # type: ignore[arg-type]


def test_bits_have_the_asked_frequency_in_every_channel(generator: torch.Generator) -> None:
    p = torch.tensor([0.2, 0.7])
    bits = random_bits(p, 20_000, 2, generator)
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(bits.mean(dim=0), p[:, None].expand(2, 2), atol=0.015, rtol=0)
    channels = torch.corrcoef(bits[:, 0].T)
    assert abs(channels[0, 1].item()) < 0.03


@given(n_steps=st.integers(1, 40), repeat=st.integers(1, 7), plus_minus=st.booleans())
def test_bits_last_and_are_coded_as_asked(n_steps: int, repeat: int, plus_minus: bool) -> None:
    bits = random_bits(
        torch.tensor([0.5]), n_steps, 1, torch.Generator().manual_seed(0), repeat=repeat, plus_minus=plus_minus
    )
    assert bits.shape == (n_steps, 1, 1)
    assert set(bits.unique().tolist()) <= ({-1.0, 1.0} if plus_minus else {0.0, 1.0})
    for start in range(0, n_steps, repeat):
        assert len(bits[start : start + repeat].unique()) == 1


@settings(max_examples=30, deadline=None)
@given(block=st.integers(1, 60), n_steps=st.integers(5, 80), burn_in=st.integers(0, 60), repeat=st.integers(1, 4))
def test_blocks_join_without_a_gap(block: int, n_steps: int, burn_in: int, repeat: int) -> None:
    """Unit i of a delay line repeats the input of i steps before, also across the ends of blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simulation, "_BLOCK_NUMBERS", block)
        blocks = list(
            simulate(
                delay_line(4),
                torch.tensor([0.5, 0.5]),
                n_steps,
                burn_in=burn_in,
                repeat=repeat,
                generator=torch.Generator().manual_seed(1),
            )
        )
    states = torch.cat(blocks)
    assert states.shape == (n_steps, 2, 4)
    # Bit for bit: sums of one number times 1 and others times 0 are exact, in whatever order.
    for delay in range(1, 4):
        assert torch.equal(states[delay:, :, delay], states[:-delay, :, 0])
    # Bits change at whole numbers of repeats, counted from the start of the burn-in.
    changes = torch.nonzero((states[1:, :, 0] != states[:-1, :, 0]).any(dim=1)).flatten() + 1 + burn_in
    assert (changes % repeat == 0).all()


def test_a_burn_in_is_run_but_not_shown() -> None:
    model = wrap(lambda _, h: h + 1, 1, 1)
    (block,) = simulate(model, torch.tensor([0.5]), 3, burn_in=10, generator=torch.Generator())
    assert block.flatten().tolist() == [11.0, 12.0, 13.0]


@pytest.mark.parametrize("name", ZOO)
def test_every_network_runs(name: str, generator: torch.Generator) -> None:
    model = ZOO[name](generator)
    (block,) = simulate(model, torch.tensor([0.1, 0.9]), 20, burn_in=5, generator=generator)
    assert block.shape == (20, 2, N_UNITS)
    assert np.isfinite(block.numpy()).all()


def test_divergence_is_named() -> None:
    model = wrap(lambda _, h: 1e3 * h, 1, 1, initial=torch.ones(1))
    with pytest.raises(InputError, match="the network diverged within 50 steps"):
        list(simulate(model, torch.tensor([0.5]), 50, burn_in=0, generator=torch.Generator()))


@given(st.integers(1, 300), st.integers(1, 10**6), st.integers(0, 2000))
def test_segments_are_many_but_long(n_trials: int, n_steps: int, burn_in: int) -> None:
    n = segments(n_trials, n_steps, burn_in)
    assert n == 1 or (n * n_trials <= 100 and n_steps // n >= 20 * burn_in)
