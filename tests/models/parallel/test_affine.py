"""Affine recurrences: BLAS, the tree and the loop over steps agree, and what overflows stays where it is."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rounding import tolerance
from tauscope.models.parallel.affine import _BAND, affine, tree


def by_loop(A: Tensor, b: Tensor, reverse: bool = False) -> Tensor:
    """Return y_t = A_t y_{t-1} + b_t, or y_t = A_{t+1}ᵀ y_{t+1} + b_t, step by step."""
    dense = torch.diag_embed(A) if A.dim() == b.dim() else A
    order = range(len(b) - 1, -1, -1) if reverse else range(len(b))
    found: dict[int, Tensor] = {}
    for t in order:
        found[t] = b[t]
        before = t + 1 if reverse else t - 1
        if before in found:
            matrix = dense[before].mT if reverse else dense[t]
            found[t] = found[t] + (matrix @ found[before].unsqueeze(-1)).squeeze(-1)
    return torch.stack([found[t] for t in range(len(b))])


def drawn(n_steps: int, n_trials: int, n: int, seed: int = 0, dense: bool = True) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (n_steps, n_trials, n)
    # The spectral radius is about 0.67.
    A = 0.67 / n**0.5 * torch.randn(*shape, *([n] if dense else []), generator=generator, dtype=torch.float64)
    return A, torch.randn(shape, generator=generator, dtype=torch.float64)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 200), st.integers(1, 3), st.integers(1, 6), st.booleans(), st.booleans(), st.integers(0, 2**31 - 1)
)
def test_blas_the_tree_and_the_loop_over_steps_agree(
    n_steps: int, n_trials: int, n: int, dense: bool, reverse: bool, seed: int
) -> None:
    A, b = drawn(n_steps, n_trials, n, seed, dense)
    given_A, given_b = A.clone(), b.clone()
    expected = by_loop(A, b, reverse)
    size = float(expected.abs().max())
    atol = tolerance(torch.float64, n, 20) * size
    torch.testing.assert_close(affine(A, b, reverse), expected, rtol=0, atol=atol)
    if not reverse:
        torch.testing.assert_close(tree(A, b), expected, rtol=0, atol=atol)
    assert torch.equal(A, given_A)
    assert torch.equal(b, given_b)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_sequence_of_many_blocks_is_that_of_one(reverse: bool) -> None:
    n = 24
    n_steps = 3 * _BAND // (2 * n * n) + 7
    A, b = drawn(n_steps, 1, n)
    atol = tolerance(torch.float64, n, 20) * float(b.abs().max())
    torch.testing.assert_close(affine(A, b, reverse), by_loop(A, b, reverse), rtol=0, atol=atol)


def test_single_precision_is_solved_in_single_precision() -> None:
    A, b = (part.float() for part in drawn(50, 2, 4))
    found = affine(A, b)
    assert found.dtype == torch.float32
    torch.testing.assert_close(
        found, by_loop(A, b), rtol=0, atol=tolerance(torch.float32, 4, 20) * float(b.abs().max())
    )


def test_a_trial_that_overflows_spoils_no_other_and_nothing_before() -> None:
    A, b = drawn(30, 3, 4)
    A[10, 1] = float("inf")
    found, alone = affine(A, b), affine(A[:, [0, 2]], b[:, [0, 2]])
    assert torch.equal(found[:, [0, 2]], alone)
    assert found[:10, 1].isfinite().all()
    assert not found[10:, 1].isfinite().any()


def test_no_trials_are_no_trials() -> None:
    assert affine(torch.zeros(3, 0, 2, 2), torch.zeros(3, 0, 2)).shape == (3, 0, 2)
