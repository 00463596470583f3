from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from problems import Accumulator
from tauscope import Heads, InputError, LeakyRNN, Model, Parity, Recipe, load, train
from tauscope.learning.curricula import once, single
from tauscope.measurements.retraining import RETRAINING, forgetting, retrain
from zoo import ZOO

SHORT = Recipe(epochs=2, steps_per_epoch=4, batch_size=8, test_steps=3)


@pytest.fixture(scope="module")
def solved() -> LeakyRNN:
    """A network that solves 2-parity."""
    model = LeakyRNN(40, shared_head=True, generator=torch.Generator().manual_seed(0))
    recipe = Recipe(epochs=20, steps_per_epoch=100, batch_size=64, test_steps=5, lr=0.2)
    assert train(model, Parity([2]), single(first=2, last=2), recipe).curriculum.finished
    return model


def test_retraining_starts_from_the_network_and_leaves_it(solved: LeakyRNN) -> None:
    before = {key: value.clone() for key, value in solved.state_dict().items()}
    recipe = Recipe(epochs=1, steps_per_epoch=2, batch_size=256, test_steps=5, lr=1e-9)
    result = retrain(solved, Parity([2]), [2, 3], recipe=recipe)
    for key, value in solved.state_dict().items():
        assert torch.equal(value, before[key])
    # With next to no learning rate the copies know 2 as before, and 3 as little as before.
    assert result.accuracy.sel(N=2).item() > 0.97
    assert result.accuracy.sel(N=3).item() < 0.7
    assert result.relative_accuracy.sel(N=2).item() == 1
    assert result.relative_accuracy.sel(N=3).item() == pytest.approx(
        (result.accuracy[1, -1] - 0.5) / (result.accuracy[0, -1] - 0.5)
    )


def test_every_N_has_the_whole_budget_and_the_same_start(solved: LeakyRNN) -> None:
    """2 is solved from the start, and trained all the same; 3 does not depend on what came before it."""
    both, alone = (retrain(solved, Parity([2]), Ns, recipe=SHORT) for Ns in ([2, 3], [2, 3, 4]))
    assert both.accuracy.sizes == {"N": 2, "epoch": 2}
    assert both.accuracy.notnull().all()
    np.testing.assert_array_equal(both.accuracy.sel(N=3), alone.accuracy.sel(N=3))
    np.testing.assert_array_equal(both.loss.sel(N=3), alone.loss.sel(N=3))


def test_retraining_is_training_with_one_head(generator: torch.Generator) -> None:
    """A multi-head network goes on with the head of the first N, as if it had been trained single-head."""
    model = LeakyRNN(12, n_heads=5, generator=generator)
    twin = LeakyRNN(12, n_heads=1, shared_head=True, generator=generator)
    with torch.no_grad():
        twin.layers[0].load_state_dict(model.layers[0].state_dict())
        twin.heads.linears[0].load_state_dict(model.heads.linears[1].state_dict())
    direct = train(twin, Parity([4]), once(4), SHORT)
    result = retrain(model, Parity([2]), [3, 4], recipe=SHORT).sel(N=4)
    assert result.accuracy.values.tolist() == [record["accuracy"][0] for record in direct.history]
    assert result.loss.values.tolist() == [record["loss"] for record in direct.history]


def test_progress_is_told_for_every_N(solved: LeakyRNN) -> None:
    told: list[tuple[int, int]] = []

    def tell(N: int, record: dict[str, Any]) -> None:
        told.append((N, record["epoch"]))

    retrain(solved, Parity([2]), [2, 5], recipe=SHORT, on_epoch=tell)
    assert told == [(2, 1), (2, 2), (5, 1), (5, 2)]


@pytest.mark.parametrize("name", ZOO)
def test_every_network_can_be_retrained(name: str, generator: torch.Generator) -> None:
    recipe = Recipe(epochs=1, steps_per_epoch=2, batch_size=4, test_steps=1, lr=1e-3)
    assert retrain(ZOO[name](generator), Parity([2]), [2, 6], recipe=recipe).accuracy.notnull().all()


def test_the_published_budget_is_the_default() -> None:
    assert Recipe(epochs=20) == RETRAINING


def test_retraining_needs_a_head_to_start_from(generator: torch.Generator) -> None:
    with pytest.raises(InputError, match="no head 'N6'"):
        retrain(ZOO["default"](generator), Parity([2]), [6, 7], recipe=SHORT)


def test_retraining_needs_something_to_train(generator: torch.Generator) -> None:
    model = Model([Accumulator(1, 1)], Heads(1, ["N2"], 2, False, generator)).requires_grad_(False)
    with pytest.raises(InputError, match="no trainable parameters"):
        retrain(model, Parity([2]), [2], recipe=SHORT)


def test_forgetting_asks_every_N_and_marks_the_trained(solved: LeakyRNN) -> None:
    result = forgetting(solved, Parity([2]), (2, 2), n_sequences=512)
    assert result.N.values.tolist() == [2, 3, 4]
    assert result.trained.values.tolist() == [True, False, False]
    assert result.sel(N=2).item() > 0.95
    assert result.sel(N=4).item() == pytest.approx(0.5, abs=0.1)
    assert (result.chance == 0.5).all()
    asked = forgetting(solved, Parity([2]), (2, 4), Ns=[1, 4, 6], n_sequences=64)
    assert asked.trained.values.tolist() == [False, True, False]


@pytest.mark.reference
def test_published_single_head_network_has_forgotten_all_smaller_N(reference: Path) -> None:
    """Spec section 3: about .50 at every N below its own; a multi-head network solves all its heads (p = .5)."""
    folder = reference / "trained_models"
    single = forgetting(load(folder / "single_parity_network_1" / "rnn_N8_N8"), Parity([2]), (8, 8))
    assert single.sel(N=8) > 0.97
    assert abs(single.sel(N=slice(2, 7)) - 0.5).max() < 0.05
    multi = forgetting(load(folder / "cumulative_parity_network_1" / "rnn_N2_N8"), Parity([2]), (2, 8))
    assert multi.sel(N=slice(2, 8)).min() > 0.98
    assert abs(multi.sel(N=slice(9, 16)) - 0.5).max() < 0.05
