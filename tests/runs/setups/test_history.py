"""The setup of histories: a plain tanh network, horizons that grow, and training that goes on after the last one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rounding import tolerance
from tauscope import InputError
from tauscope.cli import main
from tauscope.models import Fast, LeakyCell, Loop, run
from tauscope.runs.checkpoints import load_state
from tauscope.runs.config import config_of
from tauscope.runs.folder import read_metrics
from tauscope.runs.loading import load, trained_task
from tauscope.tasks.history import History

SMALL = {"task": "history", "dim": 2, "lags": 2, "map": "cyclic", "num_neurons": 7, "horizons": (3, 5), "seed": 0}


def test_the_defaults_are_the_published_ones() -> None:
    config = config_of({"task": "history"})
    assert config.name == "history_network_1"
    assert config.template() == History(dim=8, lags=8, map="copy")
    assert [stage.ask for stage in config.curriculum().stages] == [{"horizon": h} for h in (10, 20, 40, 60, 100)]
    recipe = config.recipe()
    assert recipe.epochs * recipe.steps_per_epoch == 20_000
    assert (recipe.optimizer, recipe.lr, recipe.clip, recipe.batch_size, recipe.weight_cost) == ("adam", 1e-3, 1, 64, 0)
    weights = {name: tuple(one.shape) for name, one in config.model().named_parameters()}
    assert sorted(weights.values()) == [(8, 128), (128, 8), (128, 128)]


def test_the_fast_recurrence_is_the_plain_network(monkeypatch: pytest.MonkeyPatch) -> None:
    model, task = config_of(SMALL).model(), History(dim=2, lags=2, map="cyclic", horizon=5)
    (cell,) = model.layers
    assert isinstance(cell, LeakyCell)
    batch = task.sample(6, torch.Generator().manual_seed(1))
    h = torch.zeros(6, 7)
    by_hand = []
    for u in batch.inputs:
        h = torch.tanh(h @ cell.recurrent.weight.t() + u @ cell.input.weight.t())
        by_hand.append(h @ model.heads.linears[0].weight.t())  # type: ignore[operator, union-attr]
    gradients = {}
    for solver in (Fast(), Loop()):
        model.zero_grad()
        with monkeypatch.context() as patched:
            if isinstance(solver, Fast):
                patched.setattr(LeakyCell, "step", None)
            trace = run(model, batch, torch.Generator().manual_seed(2), heads=["out"], solver=solver, first=2)
        close = tolerance(torch.float32, 7, steps=7)
        torch.testing.assert_close(trace.outputs[:, :, 0], torch.stack(by_hand[2:]), rtol=close, atol=close)
        task.loss(trace.outputs, batch).sum().backward()
        gradients[type(solver)] = [one.grad for one in model.parameters()]
    for fast, loop in zip(gradients[Fast], gradients[Loop], strict=True):
        close = tolerance(torch.float32, 6 * 7, steps=7)
        torch.testing.assert_close(fast, loop, rtol=close, atol=close)


def test_training_goes_on_after_the_last_horizon_is_solved(tmp_path: Path) -> None:
    options = (
        "--map copy --dim 1 --lags 1 --horizons 1,2 -nn 4 --lr 0.05 --epochs 6 --steps-per-epoch 30 --test-steps 2"
    )
    assert main(["train", "--task", "history", *options.split(), "-s", "0", "-b", str(tmp_path)]) == 0
    (folder,) = tmp_path.iterdir()
    records = read_metrics(folder)
    assert [record["epoch"] for record in records] == [1, 2, 3, 4, 5, 6]
    solved = [record["epoch"] for record in records if record["solved"] and record["stage"] == "horizon2"]
    assert solved
    assert solved[0] < 6
    assert records[-1]["stage"] == "horizon2"
    assert trained_task(folder / "rnn_horizon2") == History(dim=1, lags=1, horizon=2)
    # The network is that of the last epoch, not of the first that solved it.
    state, _ = load_state(folder)
    assert state is not None
    for name, value in load(folder / "rnn_horizon2").state_dict().items():
        assert torch.equal(value, state["model"][name])


def test_a_horizon_is_set_by_the_stages_and_no_option() -> None:
    with pytest.raises(InputError, match="horizon is an option of task series: expected none for task 'history'"):
        config_of(SMALL | {"horizon": 5})


def parameters(**options: object) -> dict[str, torch.Tensor]:
    return {name: one.detach() for name, one in config_of(SMALL | options).model().named_parameters()}


def test_published_weights_start_within_one_over_the_root_of_the_units() -> None:
    usual, published = parameters(num_neurons=100), parameters(num_neurons=100, weights="units")
    (name,) = (name for name, value in usual.items() if value.shape == (100, 2))
    assert usual[name].abs().max() > 0.5  # up to 1/√2
    assert 0.08 < published[name].abs().max() <= 0.1
    assert all(torch.equal(usual[other], published[other]) for other in usual if other != name)


def test_a_network_that_starts_as_the_theory_has_it_solves_the_task_without_training() -> None:
    config = config_of(SMALL | {"weights": "theory", "num_neurons": 12})
    model, task = config.model(), History(dim=2, lags=2, map="cyclic", horizon=40)
    batch = task.sample(50, torch.Generator().manual_seed(1))
    trace = run(model, batch, torch.Generator().manual_seed(2), heads=["out"], first=2)
    assert task.score(trace.outputs[..., :, :], batch) == 1
    assert config.identity() != config_of(SMALL | {"num_neurons": 12}).identity()


def test_runs_of_before_say_nothing_of_initial_weights() -> None:
    assert "weights" not in config_of(SMALL).to_dict()
    assert config_of(SMALL | {"weights": "units"}).to_dict()["weights"] == "units"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"weights": "theory"}, "7 units: expected at least 8"),
        ({"weights": "theory", "cell": "gru"}, "weights is theory, with cell 'gru': expected inputs or units"),
        ({"weights": "unit"}, "'units'"),
    ],
)
def test_initial_weights_that_cannot_be(options: dict[str, object], said: str) -> None:
    options = {"dim": 4, **options} if options["weights"] == "theory" else options
    with pytest.raises(InputError, match=said):
        config_of(SMALL | options).model()
