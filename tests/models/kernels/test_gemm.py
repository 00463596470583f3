"""The product of the inner loop against NumPy in float64, on both of its paths."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tauscope.models.kernels.gemm import _SMALL, keep_freed_memory, matmul_nt

# Rows, inner size and columns, below, at and above the number of multiply-adds at which the path changes.
SIZES = [(1, 1, 1), (3, 7, 5), (127, 64, 128), (128, 64, 128), (129, 131, 70), (256, 502, 250)]
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6, torch.bfloat16: 1e-2}


def test_the_sizes_lie_on_both_sides_of_the_threshold() -> None:
    products = [m * k * n for m, k, n in SIZES]
    assert min(products) < _SMALL < max(products)
    assert _SMALL in products


def laid_out(values: np.ndarray, layout: str, dtype: torch.dtype) -> torch.Tensor:
    """Return a matrix in memory by rows, by columns, or as part of a larger one."""
    whole = torch.from_numpy(values).to(dtype)
    if layout == "columns":
        return whole.t().contiguous().t()
    if layout == "part":
        larger = torch.full((values.shape[0] + 3, 2 * values.shape[1] + 5), torch.nan, dtype=dtype)
        part = larger[2:-1, 4:-1:2]
        part.copy_(whole)
        return part
    return whole


@pytest.mark.parametrize("layouts", [("rows", "rows"), ("rows", "columns"), ("columns", "rows"), ("part", "part")])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_product_equals_numpy(m: int, k: int, n: int, dtype: torch.dtype, layouts: tuple[str, str]) -> None:
    rng = np.random.default_rng(m + n)
    a, b = (
        laid_out(rng.standard_normal(shape), one, dtype) for shape, one in zip(((m, k), (n, k)), layouts, strict=True)
    )
    product = matmul_nt(a, b)
    exact = a.double().numpy() @ b.double().numpy().T
    assert product.dtype == dtype
    assert product.shape == (m, n)
    # The error of a sum is measured against the sum of its absolute terms.
    scale = np.abs(a.double().numpy()) @ np.abs(b.double().numpy()).T
    assert np.max(np.abs(product.double().numpy() - exact) / scale) < TOLERANCE[dtype]


@pytest.mark.parametrize(("m", "k", "n"), SIZES)
def test_products_repeat_bit_for_bit_and_leave_their_operands_alone(
    m: int, k: int, n: int, generator: torch.Generator
) -> None:
    a, b = torch.randn(m, k, generator=generator), torch.randn(n, k, generator=generator)
    before = a.clone(), b.clone()
    assert torch.equal(matmul_nt(a, b), matmul_nt(a, b))
    assert torch.equal(a, before[0])
    assert torch.equal(b, before[1])


def test_keeping_freed_memory_changes_no_number(generator: torch.Generator) -> None:
    a = torch.randn(200, 200, generator=generator)
    before = matmul_nt(a, a)
    keep_freed_memory()
    assert torch.equal(matmul_nt(a, a), before)
