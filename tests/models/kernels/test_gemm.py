"""The product of the inner loop against NumPy in float64, on each of its paths."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tauscope import InputError
from tauscope.models.kernels import gemm, processor
from tauscope.models.kernels.gemm import (
    _SMALL,
    FORCED,
    PATHS,
    add_matmul_nt,
    keep_freed_memory,
    matmul_nt,
    product_path,
)

# Rows, inner size and columns, below, at and above the number of multiply-adds at which the path changes.
SIZES = [(1, 1, 1), (3, 7, 5), (127, 64, 128), (128, 64, 128), (129, 131, 70), (256, 502, 250)]
TOLERANCE = {torch.float64: 1e-13, torch.float32: 2e-6, torch.bfloat16: 1e-2}


@pytest.fixture(params=PATHS)
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Each path, forced as a user forces it."""
    monkeypatch.setenv(FORCED, request.param)
    product_path.cache_clear()
    yield request.param
    product_path.cache_clear()


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
@pytest.mark.usefixtures("path")
def test_product_equals_numpy(m: int, k: int, n: int, dtype: torch.dtype, layouts: tuple[str, str]) -> None:
    rng = np.random.default_rng(m + n)
    a, b = (
        laid_out(rng.standard_normal(shape), one, dtype) for shape, one in zip(((m, k), (n, k)), layouts, strict=True)
    )
    exact = a.double().numpy() @ b.double().numpy().T
    # The error of a sum is measured against the sum of its absolute terms.
    scale = np.abs(a.double().numpy()) @ np.abs(b.double().numpy()).T
    room = laid_out(np.full((m, n), np.nan), layouts[0], dtype)
    for product in (matmul_nt(a, b), matmul_nt(a, b, room)):
        assert product.dtype == dtype
        assert product.shape == (m, n)
        assert np.max(np.abs(product.double().numpy() - exact) / scale) < TOLERANCE[dtype]
    total = torch.ones(m, n, dtype=dtype)
    assert add_matmul_nt(total, a, b) is total
    assert np.max(np.abs(total.double().numpy() - 1 - exact) / (1 + scale)) < 2 * TOLERANCE[dtype]


@pytest.mark.usefixtures("path")
def test_a_sum_of_higher_precision_keeps_its_own() -> None:
    a, total = torch.full((1, 1), 2.0**-8, dtype=torch.bfloat16), torch.ones(1, 1)
    assert add_matmul_nt(total, a, a).item() == 1 + 2.0**-16


def test_a_forced_path_is_taken(path: str) -> None:
    assert product_path(torch.float64) == "mkl"
    has_onednn = gemm._onednn_has(torch.float32)
    assert product_path(torch.float32) == (path if has_onednn else "mkl")


@pytest.mark.parametrize(("vendor", "expected"), [("intel", "mkl"), ("amd", "onednn"), ("unknown", "onednn")])
def test_the_path_follows_from_the_vendor(vendor: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not gemm._onednn_has(torch.float32):
        pytest.skip("torch has no oneDNN here")
    monkeypatch.delenv(FORCED, raising=False)
    monkeypatch.setattr(gemm, "vendor", lambda: vendor)
    product_path.cache_clear()
    assert product_path(torch.float32) == expected
    product_path.cache_clear()


def test_a_path_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FORCED, "mlk")
    product_path.cache_clear()
    with pytest.raises(InputError, match=r"TAUSCOPE_PRODUCTS.*'mlk'.*did you mean 'mkl'"):
        product_path(torch.float32)
    product_path.cache_clear()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\nflags\t\t: avx2 amx_bf16\n\nprocessor : 1\n",
            "intel",
        ),
        ("processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: EPYC\nflags\t\t: avx2\n", "amd"),
    ],
)
def test_the_processor_is_read_from_what_linux_says(
    told: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("proc") / "cpuinfo"
    file.write_text(told)
    monkeypatch.setattr(processor, "_CPUINFO", file)
    for cached in (processor._described, processor.vendor):
        cached.cache_clear()
    assert processor.vendor() == expected
    assert processor.model_name() in ("Xeon", "EPYC")
    assert processor.instruction_sets() == (("AVX2", "AMX BF16") if expected == "intel" else ("AVX2",))
    for cached in (processor._described, processor.vendor):
        cached.cache_clear()


@pytest.mark.parametrize(("m", "k", "n"), SIZES)
@pytest.mark.usefixtures("path")
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
