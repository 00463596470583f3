"""Matrices of characters, their directions, and networks with few of their terms, against factors that are written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tauscope import InputError, LeakyRNN, Model, build_model
from tauscope.analysis.second_order import character_matrices, effective_rank, rank_truncation
from tauscope.errors import NotApplicableError
from tauscope.models import SECOND_ORDER, CPCell

N, V = 5, 7


def network(cell: str, rank: int = 3) -> Model:
    return build_model(
        cell, N, n_inputs=V, n_outputs=V, n_heads=1, rank=rank, generator=torch.Generator().manual_seed(0)
    )


def cp(model: Model) -> CPCell:
    (cell,) = model.layers
    assert isinstance(cell, CPCell)
    return cell


def test_the_matrices_of_cp_terms_are_those_of_their_factors() -> None:
    model = network("cp")
    cell = cp(model)
    A, B, C, W = (one.detach().double().numpy() for one in (cell.A, cell.B, cell.C, cell.recurrent.weight))
    expected = [W + C @ np.diag(B[c]) @ A.T for c in range(V)]
    found = character_matrices(model)
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-14)
    assert found.dims == ("character", "to", "from")


def test_the_full_tensor_gives_its_slices() -> None:
    model = network("second_order")
    (cell,) = model.layers
    weights = {name: value.detach().double().numpy() for name, value in cell.named_parameters()}
    expected = weights["tensor"].transpose(0, 2, 1) + weights["recurrent.weight"]
    np.testing.assert_allclose(character_matrices(model).values, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("rank", [1, 2, 6, 7, 30])
def test_terms_are_directions_up_to_the_number_of_characters(rank: int) -> None:
    found = effective_rank(network("cp", rank))
    assert int(found["rank"]) == min(rank, V, N * N)
    assert 1 <= float(found.effective_rank) <= int(found["rank"]) + 1e-9


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_singular_values_are_those_of_the_differences(name: str) -> None:
    model = network(name)
    (cell,) = model.layers
    rows = character_matrices(model).values.reshape(V, -1)
    alone = torch.zeros(1, V).double()
    rows = rows - cell.double().transitions(alone).detach().numpy().reshape(1, -1)  # type: ignore[operator]
    # The eigenvalues of the smaller Gram matrix are the squares.
    expected = np.sqrt(np.clip(np.linalg.eigvalsh(rows @ rows.T)[::-1], 0, None))
    found = effective_rank(model)
    np.testing.assert_allclose(found.singular_values, expected, rtol=1e-6, atol=1e-7)
    radius = [np.abs(np.linalg.eigvals(matrix)).max() for matrix in character_matrices(model).values]
    np.testing.assert_allclose(found.spectral_radius, radius, rtol=1e-10)


def test_effective_ranks_are_known_of_equal_and_of_no_directions() -> None:
    model = network("cp", 3)
    cell = cp(model)
    with torch.no_grad():
        # Three terms of the same strength that read different characters and write to different units.
        for factor in (cell.A, cell.B, cell.C):
            factor.zero_()
            factor[:3] = torch.eye(3)
    found = effective_rank(model)
    assert int(found["rank"]) == 3
    assert float(found.effective_rank) == pytest.approx(3)
    with torch.no_grad():
        cell.B *= torch.tensor([1.0, 1.0, 0.0])
    assert float(effective_rank(model).effective_rank) == pytest.approx(2)
    with torch.no_grad():
        cell.B *= torch.tensor([1.0, 1 / 3, 0.0])
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert float(effective_rank(model).effective_rank) == pytest.approx(math.exp(entropy))
    elman = effective_rank(network("elman"))
    assert int(elman["rank"]) == float(elman.effective_rank) == 0


@torch.no_grad()
def test_the_strongest_terms_are_kept_and_the_network_is_left_alone() -> None:
    model = network("cp", 4)
    cell = cp(model)
    # Strength is that of the product, not of one factor.
    cell.A *= torch.tensor([1.0, 100.0, 1.0, 30.0])
    cell.C *= torch.tensor([0.1, 1.0, 1.0, 0.001])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    two = rank_truncation(model, 2)
    strength = cell.A.norm(dim=0) * cell.B.norm(dim=0) * cell.C.norm(dim=0)
    kept = sorted(np.argsort(-strength.numpy())[:2].tolist())
    assert kept == [1, 2]
    for name in "ABC":
        assert torch.equal(getattr(cp(two), name), getattr(cell, name)[:, kept])
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert cell.rank == 4
    matrices = [
        cell.recurrent.weight + cell.C[:, kept] @ torch.diag(cell.B[c, kept]) @ cell.A[:, kept].t() for c in range(V)
    ]
    np.testing.assert_allclose(character_matrices(two).values, torch.stack(matrices), rtol=1e-5, atol=1e-6)


def test_all_terms_are_the_network_and_none_is_a_first_order_one() -> None:
    model, inputs = network("cp", 4), torch.eye(V)[torch.randint(V, (9, 2), generator=torch.Generator().manual_seed(1))]
    assert torch.equal(rank_truncation(model, 4)(inputs)[0], model(inputs)[0])
    none = rank_truncation(model, 0)
    elman = network("elman")
    elman.load_state_dict({name: value for name, value in model.state_dict().items() if name[-1] not in "ABC"})
    assert torch.equal(none(inputs)[0], elman(inputs)[0])


def test_what_has_no_such_terms_is_refused() -> None:
    generator = torch.Generator().manual_seed(0)
    for model in (LeakyRNN(4, generator=generator), build_model("gru", 4, generator=generator)):
        for analysis in (character_matrices, effective_rank, lambda one: rank_truncation(one, 1)):
            with pytest.raises(NotApplicableError, match="expected one layer of an elman, cp"):
                analysis(model)
    with pytest.raises(NotApplicableError, match="has several layers"):
        character_matrices(build_model("cp", [4, 4], generator=generator))
    with pytest.raises(NotApplicableError, match="has a MICell: expected CP terms"):
        rank_truncation(network("mi"), 1)
    for rank, closest in ((4, 3), (-1, 0)):
        with pytest.raises(InputError, match=rf"expected 0 \.\.\. 3 \(nearest valid value: {closest}\)"):
            rank_truncation(network("cp"), rank)
