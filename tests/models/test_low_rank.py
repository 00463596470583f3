"""Recurrent weights of low rank under a mask: rank, mask, radius and norm at the start, gradients, files and runs."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.utils.prune
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import tauscope as ts
from tauscope.cli import main
from tauscope.errors import InputError
from tauscope.models import Model, low_rank_sparse
from tauscope.runs.checkpoints import load_state
from tauscope.runs.config import config_of

N_UNITS = 8
CELLS = ("leaky", "gru", "lstm", "cfc", "elman")


def built(cell: str, n_units: int = N_UNITS, seed: int = 0) -> Model:
    return ts.build_model(cell, n_units, n_heads=2, generator=torch.Generator().manual_seed(seed)).double()


def recurrent(model: Model) -> list[Tensor]:
    """The values of all square blocks."""
    return [
        block for weight in model.weights().values() if weight.role == "recurrent" for block in weight.blocks().values()
    ]


def matrix(n: int, rank: int | None, sparsity: float, start: str, seed: int, **options: bool) -> Tensor:
    """The recurrent matrix of a network of units that receive from themselves, at the start."""
    cell = ts.LeakyCell(1, n, torch.Generator().manual_seed(seed), afunc="tanh", tau=1.0, diagonal=True)
    model = Model([cell], ts.Heads(n, ["out"], 1, False, torch.Generator()))
    generator = torch.Generator().manual_seed(seed)
    made = low_rank_sparse(model, rank, sparsity, generator=generator, start=start, **options)
    return recurrent(made)[0].detach().double()


def radius(W: Tensor) -> float:
    return float(torch.linalg.eigvals(W).abs().max())


@pytest.mark.parametrize("cell", CELLS)
def test_every_gate_has_factors_and_a_mask_of_its_own(cell: str) -> None:
    model = built(cell)
    before = [block.detach().clone() for block in recurrent(model)]
    low = low_rank_sparse(model, 2, generator=torch.Generator().manual_seed(1))
    assert all(torch.equal(a, b) for a, b in zip(before, recurrent(model), strict=True)), "the argument is changed"
    for block in recurrent(low):
        # The leaky cell ignores the diagonal of its product.
        assert int(torch.linalg.matrix_rank(block, atol=1e-9)) == 2 or cell == "leaky"
    sparse = low_rank_sparse(model, 2, 0.5, generator=torch.Generator().manual_seed(1))
    masks = [block != 0 for block in recurrent(sparse)]
    assert all(0.2 < float(mask.double().mean()) < 0.8 for mask in masks)
    assert len(masks) == 1 or not torch.equal(masks[0], masks[1])


@pytest.mark.parametrize("cell", CELLS)
def test_the_product_is_the_nearest_matrix_of_its_rank(cell: str) -> None:
    model = built(cell)
    low = low_rank_sparse(model, 3, generator=torch.Generator())
    for name, weight in low.weights().items():
        if weight.role != "recurrent":
            continue
        blocks = model.weights()[name].tensor.unflatten(0, (-1, N_UNITS))
        for full, near in zip(blocks, weight.tensor.unflatten(0, (-1, N_UNITS)), strict=True):
            sigma = torch.linalg.svdvals(full)
            torch.testing.assert_close(torch.linalg.matrix_norm(full - near), sigma[3:].square().sum().sqrt())
            torch.testing.assert_close(torch.linalg.svdvals(near)[:3], sigma[:3])


@pytest.mark.parametrize("cell", CELLS)
def test_full_rank_without_a_mask_is_the_network_itself(cell: str) -> None:
    model, inputs = built(cell), torch.randn(20, 3, 1, dtype=torch.float64, generator=torch.Generator())
    for rank in (None, N_UNITS, N_UNITS + 1):
        same = low_rank_sparse(model, rank, generator=torch.Generator())
        assert same.state_dict().keys() == model.state_dict().keys()
        assert torch.equal(same(inputs)[0], model(inputs)[0])


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("rank", [None, 2])
def test_states_are_those_of_a_plain_network_with_the_product_as_its_weights(cell: str, rank: int | None) -> None:
    made = low_rank_sparse(built(cell), rank, 0.4, generator=torch.Generator().manual_seed(3))
    plain = built(cell)
    for name, weight in plain.weights().items():
        weight.put(made.weights()[name].tensor.detach())
    inputs = torch.randn(30, 4, 1, dtype=torch.float64, generator=torch.Generator())
    torch.testing.assert_close(made(inputs)[0], plain(inputs)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_training_moves_factors_and_leaves_masked_entries_at_zero(cell: str) -> None:
    model = low_rank_sparse(built(cell).float(), 3, 0.5, generator=torch.Generator().manual_seed(3))
    before = [block.detach().clone() for block in recurrent(model)]
    recipe = ts.Recipe(epochs=1, steps_per_epoch=5, batch_size=8, test_steps=1, optimizer="adam", lr=0.05)
    ts.train(model, ts.Parity([2]), ts.cumulative(last=3), recipe)
    for old, new in zip(before, recurrent(model), strict=True):
        assert torch.equal(old == 0, new == 0)
        assert not torch.equal(old, new)


def test_the_gradient_of_a_masked_entry_of_the_product_is_zero() -> None:
    """With A = 1 and the identity as read-out, the gradient of B sums over the entries that the mask shows."""
    model = low_rank_sparse(built("elman"), 2, 0.5, generator=torch.Generator().manual_seed(0))
    weight = next(weight for weight in model.weights().values() if weight.role == "recurrent")
    mask, (left, right) = weight.movable, weight.parameters
    weight.tensor.sum().backward()
    torch.testing.assert_close(left.grad, (mask @ right[0].t()).unsqueeze(0), rtol=0, atol=1e-12)
    torch.testing.assert_close(right.grad, (left[0].t() @ mask).unsqueeze(0), rtol=0, atol=1e-12)


def share(n: int, rank: int, start: str, seed: int) -> float:
    """‖W_r‖_F / √n of a full matrix that is drawn anew, by its singular values."""
    gaussian = torch.randn(n, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) / n**0.5
    sigma = torch.linalg.svdvals(gaussian) if start == "glorot" else torch.ones(n, dtype=torch.float64)
    return float(sigma[:rank].square().sum().sqrt()) / n**0.5


@pytest.mark.parametrize("start", ["glorot", "orthogonal"])
@pytest.mark.parametrize(
    ("rank", "sparsity"), [(64, 0.0), (64, 0.5), (64, 0.8), (16, 0.0), (16, 0.5), (4, 0.0), (4, 0.8)]
)
def test_the_radius_at_the_start_is_the_closed_form(rank: int, sparsity: float, start: str) -> None:
    found = sum(radius(matrix(64, rank, sparsity, start, seed)) for seed in range(40)) / 40
    expected = (1 - sparsity) ** 0.5 * sum(share(64, rank, start, 100 + seed) for seed in range(20)) / 20
    # Finite size: matrices of 64 units lie up to 14 % above it where rank and density are small.
    assert found == pytest.approx(expected, rel=0.14)


@pytest.mark.parametrize("rank", [64, 16, 4, 1])
def test_the_norm_at_the_start_does_not_depend_on_the_rank_without_a_mask(rank: int) -> None:
    for start, expected in (("orthogonal", 1.0), ("glorot", None)):
        full = matrix(64, None, 0.0, start, 3)
        norm = float(torch.linalg.matrix_norm(full, 2)) if expected is None else expected
        low = matrix(64, rank, 0.0, start, 3)
        assert float(torch.linalg.matrix_norm(low, 2)) == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize("start", ["own", "glorot", "orthogonal"])
@pytest.mark.parametrize(("rank", "sparsity"), [(None, 0.5), (4, 0.0), (4, 0.5)])
def test_a_start_can_have_the_radius_of_the_full_matrix(rank: int | None, sparsity: float, start: str) -> None:
    full = radius(matrix(32, None, 0.0, start, 5))
    scaled = matrix(32, rank, sparsity, start, 5, rescale=True)
    assert radius(scaled) == pytest.approx(full, rel=1e-4)
    plain = matrix(32, rank, sparsity, start, 5)
    torch.testing.assert_close(scaled / scaled.norm(), plain / plain.norm(), rtol=0, atol=1e-6)


def test_a_matrix_that_lies_transposed_can_be_rescaled() -> None:
    relu = ts.models.ReluRNN(
        8, n_inputs=1, n_outputs=1, lambda_0=0.9, start="orthogonal", generator=torch.Generator().manual_seed(0)
    )
    made = low_rank_sparse(relu, None, 0.3, generator=torch.Generator().manual_seed(1), rescale=True)
    assert radius(recurrent(made)[0].detach()) == pytest.approx(radius(recurrent(relu)[0].detach()), rel=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 12), st.floats(0, 1), st.sampled_from(["own", "glorot", "orthogonal"]))
def test_masks_and_ranks_hold_for_whatever_is_asked(seed: int, rank: int, sparsity: float, start: str) -> None:
    W = matrix(12, rank, sparsity, start, seed)
    product = matrix(12, rank, 0.0, start, seed)
    assert int(torch.linalg.matrix_rank(product, atol=1e-5)) == min(rank, 12)
    kept = W != 0
    torch.testing.assert_close(W[kept], product[kept], rtol=0, atol=1e-6)
    assert float((~kept).double().mean()) == pytest.approx(
        sparsity, abs=4.5 * (sparsity * (1 - sparsity) / 144) ** 0.5 + 1e-9
    )


def test_everything_masked_is_a_network_without_memory() -> None:
    model = low_rank_sparse(built("elman"), None, 1.0, generator=torch.Generator())
    inputs = torch.randn(4, 3, 1, dtype=torch.float64, generator=torch.Generator())
    states = model(inputs)[0]
    for t in range(4):
        torch.testing.assert_close(model(inputs[t : t + 1])[0][0], states[t], rtol=0, atol=1e-14)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("rank", "sparsity"), [(3, 0.0), (3, 0.5), (None, 0.5)])
def test_a_network_is_copied_cast_and_kept(cell: str, rank: int | None, sparsity: float, tmp_path: Path) -> None:
    made = low_rank_sparse(built(cell).float(), rank, sparsity, generator=torch.Generator().manual_seed(2))
    twin = copy.deepcopy(made.double().float())
    path = ts.save(twin, tmp_path, task=ts.Parity([2, 3]))
    loaded = ts.load(path)
    for one, other, third in zip(recurrent(made), recurrent(twin), recurrent(loaded), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, third)
    with pytest.raises(InputError, match="another kind"):
        ts.save(built(cell).float(), tmp_path, task=ts.Parity([2, 3]))


def test_a_run_is_resumed_loaded_and_measured(tmp_path: Path) -> None:
    size = ["-nn", "6", "--steps-per-epoch", "3", "--batch-size", "4", "--test-steps", "1", "-s", "3"]
    shape = ["--cell", "gru", "--recurrent-rank", "2", "--sparsity", "0.25", "--recurrent-start", "orthogonal"]
    name = "cumulative_parity_size_6_gru_recurrent_rank_2_sparsity_0.25_recurrent_start_orthogonal_network_1"
    for folder, epochs in (("whole", ["2"]), ("parts", ["1", "2"])):
        for n in epochs:
            assert main(["train", *size, *shape, "--epochs", n, "-b", str(tmp_path / folder)]) == 0
    whole, parts = (ts.load(tmp_path / folder / name / "rnn_init") for folder in ("whole", "parts"))
    assert torch.equal(recurrent(whole)[0], recurrent(parts)[0])
    config = config_of({"cell": "gru", "num_neurons": 6, "seed": 3, "recurrent_rank": 2, "sparsity": 0.25,
                        "recurrent_start": "orthogonal"})  # fmt: skip
    assert torch.equal(recurrent(config.model())[0], recurrent(whole)[0])
    told = dict(config.facts())["Recurrent weights"]
    assert told == "rank 2 before the mask, 25% of them 0, from orthogonal matrices"
    states = [load_state(tmp_path / folder / name)[0] for folder in ("whole", "parts")]
    assert states[0] is not None
    assert states[1] is not None
    assert all(map(torch.equal, states[0]["model"].values(), states[1]["model"].values()))
    assert ts.analysis.connectivity(whole).gate.values.tolist() == ["reset", "update", "new"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rank": 0}, "rank"),
        ({"rank": 1.5}, "rank"),
        ({"sparsity": 1.2}, "sparsity"),
        ({"sparsity": -0.1}, "sparsity"),
        ({"start": "gloro"}, "glorot"),
        ({"sparsity": 1.0, "rescale": True}, "smaller sparsity"),
        ({"rescale": "no"}, "rescale"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, object], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        low_rank_sparse(built("gru"), generator=torch.Generator(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("cell", ["elstm", "leaky_units", "egru"])
def test_a_network_without_matrices_between_units_is_refused(cell: str) -> None:
    with pytest.raises(InputError, match="no matrices between units"):
        low_rank_sparse(built(cell), 2, generator=torch.Generator())


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--recurrent-rank", "7"], "recurrent_rank is 7: expected at most 6"),
        (["--sparsity", "1.5"], "sparsity"),
        (["--cell", "elstm", "--sparsity", "0.5"], "no matrices between units"),
        (["--recurrent-start", "gloro"], "glorot"),
    ],
)
def test_the_command_refuses_in_a_line_and_writes_nothing(
    flags: list[str], expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "-nn", "6", "--epochs", "1", *flags, "-b", str(tmp_path / "runs")]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert len(told.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_network_of_low_rank_can_be_pruned() -> None:
    model = low_rank_sparse(built("leaky").float(), 3, generator=torch.Generator().manual_seed(1))
    pruned = ts.prune(model, "magnitude", keep_synapses=0.5)
    # Of 64 entries the 8 on the diagonal count for nothing.
    assert int((recurrent(pruned)[0] != 0).sum()) == 28


@pytest.mark.parametrize("behind", ["low rank", "pruned", "orthogonal"])
def test_weights_that_something_stands_behind_already_are_refused(behind: str) -> None:
    model = built("elman")
    linear = model.layers[0].get_submodule("recurrent")
    put: dict[str, Callable[[], object]] = {
        "low rank": lambda: None,
        "pruned": lambda: torch.nn.utils.prune.l1_unstructured(linear, "weight", 0.5),
        "orthogonal": lambda: torch.nn.utils.parametrizations.orthogonal(linear),
    }
    put[behind]()
    if behind == "low rank":
        model = low_rank_sparse(model, 2, generator=torch.Generator())
    with pytest.raises(InputError, match="expected plain recurrent weights"):
        low_rank_sparse(model, 2, 0.5, generator=torch.Generator(), start="glorot", rescale=True)


def test_weights_that_are_not_finite_are_refused() -> None:
    model = built("elman")
    model.weights()["cells.0.recurrent.weight"].tensor.data[0, 0] = torch.nan
    with pytest.raises(InputError, match="not finite"):
        low_rank_sparse(model, 2, generator=torch.Generator())


def test_layers_of_unequal_size_are_kept_too(tmp_path: Path) -> None:
    model = ts.build_model("gru", (3, 8), n_heads=2, generator=torch.Generator().manual_seed(0))
    made = low_rank_sparse(model, 4, 0.5, generator=torch.Generator().manual_seed(1))
    loaded = ts.load(ts.save(made, tmp_path, task=ts.Parity([2, 3])))
    assert all(map(torch.equal, recurrent(made), recurrent(loaded)))
