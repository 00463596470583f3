from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rounding import assert_same_spectrum
from tauscope import Heads, InputError, LeakyCell, LeakyRNN, Model, build_model, load
from tauscope.analysis.connectivity import connectivity, recurrent_matrices, step_matrix
from tauscope.models import Weight
from tauscope.models.wrapped import wrap


def _leaky(W: np.ndarray, tau: float = 1.0) -> LeakyRNN:
    model = LeakyRNN(len(W), tau=tau, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        model.layers[0].recurrent.weight.copy_(torch.from_numpy(W))
    return model


def _complex(result: np.ndarray) -> np.ndarray:
    return result[..., 0] + 1j * result[..., 1]


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 12), seed=st.integers(0, 2**31))
def test_statistics_leave_the_diagonal_out(n: int, seed: int) -> None:
    W = np.random.default_rng(seed).normal(size=(n, n))
    entries = [W[i, j] for i in range(n) for j in range(n) if i != j]
    result = connectivity(_leaky(W)).isel(matrix=0)
    assert result["mean"].item() == pytest.approx(np.mean(entries))
    assert result["std"].item() == pytest.approx(np.std(entries))
    assert result["share_positive"].item() == pytest.approx(np.mean(np.array(entries) > 0))


@pytest.mark.parametrize("n", [3, 4, 7])
def test_a_ring_has_the_roots_of_unity_as_eigenvalues(n: int) -> None:
    ring = 0.5 * np.roll(np.eye(n), 1, axis=0)
    result = connectivity(_leaky(ring, tau=4.0)).isel(matrix=0)
    roots = 0.5 * np.exp(2j * np.pi * np.arange(n) / n)
    assert_same_spectrum(_complex(result.eigenvalues.values), roots, 1e-12)
    assert result.spectral_radius.item() == pytest.approx(0.5)
    # With a = 1/4 every eigenvalue λ of W becomes 3/4 + λ/4.
    assert_same_spectrum(_complex(result.step_eigenvalues.values), 0.75 + roots / 4, 1e-12)
    assert result.step_spectral_radius.item() == pytest.approx(0.875)


def test_eigenvalues_come_in_descending_order(generator: torch.Generator) -> None:
    result = connectivity(LeakyRNN(30, generator=generator))
    for name in ("eigenvalues", "step_eigenvalues"):
        sizes = np.abs(_complex(result[name].values[0]))
        assert (np.diff(sizes) <= 1e-12).all()


def test_the_step_matrix_is_the_jacobian_where_every_unit_is_active(generator: torch.Generator) -> None:
    cell = LeakyCell(1, 6, generator, form="mod", afunc="relu")
    with torch.no_grad():
        cell.input.bias.fill_(10.0)

    def step(h: torch.Tensor) -> torch.Tensor:
        return cell.step(torch.zeros(1, 1), (h[None],))[0][0]

    jacobian = torch.autograd.functional.jacobian(step, torch.rand(6, generator=generator))
    torch.testing.assert_close(step_matrix(cell), jacobian)


def test_every_layer_has_its_row(generator: torch.Generator) -> None:
    model = LeakyRNN([7, 7], generator=generator)
    result = connectivity(model)
    assert result.layer.values.tolist() == [1, 2]
    for row, cell in zip(result["mean"].values, model.layers, strict=True):
        assert row == pytest.approx(cell.recurrent_weights.detach().double().sum().item() / 42, rel=1e-5)


@pytest.mark.parametrize(
    ("cell", "gates"), [("gru", ["reset", "update", "new"]), ("lstm", ["input", "forget", "cell", "output"])]
)
def test_gated_cells_have_a_block_for_each_gate(cell: str, gates: list[str], generator: torch.Generator) -> None:
    """The block of a gate is what changes that gate: with its rows planted, its eigenvalues are theirs."""
    model = build_model(cell, [4, 3], generator=generator)
    with torch.no_grad():
        for k in range(len(gates)):
            model.layers[0].rnn.weight_hh_l0[4 * k : 4 * (k + 1)] = torch.diag(torch.tensor([1.0, 2, 3, 4]) + 10 * k)
    result = connectivity(model)
    assert result.gate.values.tolist() == gates * 2
    assert result.layer.values.tolist() == [1] * len(gates) + [2] * len(gates)
    for k in range(len(gates)):
        assert _complex(result.eigenvalues.values[k]).tolist() == [10 * k + i for i in (4, 3, 2, 1)]
    assert result.step_eigenvalues.isnull().all()
    # Layers of different size: what the smaller one does not have is not a number.
    assert result.eigenvalues[-1, 3].isnull().all()
    assert result.eigenvalues[-1, :3].notnull().all()


def test_a_single_unit_has_no_weights_off_the_diagonal(generator: torch.Generator) -> None:
    result = connectivity(LeakyRNN(1, generator=generator))
    assert result[["mean", "std", "share_positive"]].to_array().isnull().all()
    assert result.spectral_radius.item() == 0


def test_a_cell_of_ones_own_with_recurrent_weights_is_measured(generator: torch.Generator) -> None:
    class Own(LeakyCell):
        def weights(self) -> dict[str, Weight]:
            return {"own": Weight("recurrent", torch.nn.ParameterDict({"W": torch.diag(torch.arange(1.0, 4.0))}), "W")}

    model = Model([Own(1, 3, generator)], Heads(3, ["N2"], 2, False, generator))
    assert connectivity(model).spectral_radius.item() == 3


def test_a_cell_without_recurrent_weights_is_refused() -> None:
    with pytest.raises(InputError, match="WrappedCell has no recurrent weights to measure"):
        connectivity(wrap(lambda _, h: h, 1, 3))


def test_weights_that_are_not_finite_are_refused(generator: torch.Generator) -> None:
    model = LeakyRNN([3, 3], generator=generator)
    with torch.no_grad():
        model.layers[1].recurrent.weight[0, 1] = torch.nan
    with pytest.raises(InputError, match="recurrent weights of layer 2 are not finite"):
        connectivity(model)


def test_matrices_are_those_of_the_cell(generator: torch.Generator) -> None:
    cell = LeakyCell(1, 5, generator)
    (weights,) = recurrent_matrices(cell).values()
    assert torch.equal(weights, cell.recurrent_weights)
    assert not weights.requires_grad


@pytest.mark.reference
def test_published_networks_follow_the_papers_trend(reference: Path) -> None:
    """Spec section 3: mean weight and radius at N = 11 are -1.03e-3 and .96 multi-head, -2.15e-3 and 1.65 single-head.

    The files are of smaller N, whose values lie on the way there: towards inhibition, and further so single-head.
    """
    folder = reference / "trained_models"
    multi = [
        connectivity(load(folder / "cumulative_parity_network_1" / name))
        for name in ("rnn_init", "rnn_N2_N2", "rnn_N2_N5", "rnn_N2_N8")
    ]
    single = [connectivity(load(folder / "single_parity_network_1" / f"rnn_N{N}_N{N}")) for N in (2, 5, 8)]
    means, radii = (
        [[one[name].item() for one in kind] for kind in (multi, single)] for name in ("mean", "spectral_radius")
    )
    assert all((np.diff(values) < 0).all() for values in means)
    assert all((np.diff(values) > 0).all() for values in radii)
    assert -2.15e-3 < means[1][-1] < means[0][-1] < 0
    assert means[0][-1] > -1.03e-3
    assert 0.9 < radii[0][-1] < 1.05 < radii[1][-1] < 1.65
    # An untrained network of n units has weights U(±1/√n): spectral radius 1/√3.
    assert radii[0][0] == pytest.approx(3**-0.5, abs=0.02)
