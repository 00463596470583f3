"""Training by every engine: the same losses, on disk and from Python; resumed, recorded and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import tauscope as ts
from tauscope.cli import main
from tauscope.errors import InputError
from tauscope.learning.learners import BPTT, Supervised
from tauscope.models.names import ENGINES
from tauscope.models.parallel.engines import Parallel
from tauscope.runs.config import config_of


def trained(engine: str, **options: object) -> tuple[ts.Training, list[float]]:
    model = ts.build_model("gru", 6, n_heads=1, shared_head=True, generator=torch.Generator().manual_seed(0))
    plan: dict[str, object] = {"epochs": 1, "steps_per_epoch": 25, "batch_size": 4, "test_steps": 1, "dtype": "float64"}
    losses: list[float] = []
    training = ts.train(
        model,
        ts.Parity(length=60),
        ts.once(2),
        ts.Recipe(engine=engine, **(plan | options)),  # type: ignore[arg-type]
        on_step=lambda _, loss: losses.append(loss),
    )
    return training, losses


def test_losses_of_all_engines_are_the_same() -> None:
    expected = trained("loop")[1]
    for engine in ("adjoint", "parallel"):
        training, losses = trained(engine)
        assert max(abs(a - b) for a, b in zip(losses, expected, strict=True)) < 1e-9
        record = training.history[0]
        assert ("iterations" in record) == (engine == "parallel")
    assert 1 <= record["iterations"] < 12
    assert record["fallback_share"] == 0.0


def test_an_engine_that_solves_nothing_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Parallel.__init__, "__defaults__", (1024, 1, None))
    with pytest.warns(RuntimeWarning, match="Newton's method solved no trial of the first step") as told:
        training, losses = trained("parallel", epochs=2)
    assert len(told) == 1
    assert told[0].filename == __file__
    assert [record["fallback_share"] for record in training.history] == [1.0, 1.0]
    assert losses == trained("adjoint", epochs=2)[1]


def test_means_of_what_is_reported_survive_a_stop(tmp_path: Path) -> None:
    def command(*more: str) -> list[str]:
        size = ["-nn", "4", "--epochs", "1", "--steps-per-epoch", "6", "--batch-size", "3", "--test-steps", "1"]
        return ["train", "--task", "history", "--cell", "gru", *size, "-s", "0", "--engine", "parallel", *more]

    assert main([*command("-b", str(tmp_path / "whole"))]) == 0
    config = config_of(
        {"task": "history", "cell": "gru", "num_neurons": 4, "epochs": 1, "steps_per_epoch": 6, "batch_size": 3}
        | {"test_steps": 1, "seed": 0, "engine": "parallel"}
    )
    stopped = ts.train(
        config.model(),
        config.template(),
        config.curriculum(),
        config.recipe(),
        stop=iter([False, False, True]).__next__,
    )
    state = stopped.state_dict()
    assert state["told_sums"]["iterations"] > 0
    resumed = ts.train(config.model(), config.template(), config.curriculum(), config.recipe(), state=state)
    (folder,) = (tmp_path / "whole").iterdir()
    assert folder.name == config.name
    assert folder.name.endswith("_parallel_network_1")
    (record,) = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    assert resumed.history[0]["iterations"] == record["iterations"]
    assert json.loads((folder / "config.json").read_text())["engine"] == "parallel"


def test_windows_of_truncated_gradients_by_every_engine() -> None:
    def gradients(engine: str) -> list[torch.Tensor]:
        model = ts.build_model(
            "lstm", 5, n_heads=1, shared_head=True, generator=torch.Generator().manual_seed(0)
        ).double()
        task = ts.Parity(length=40, labels="every")
        learner = Supervised(model, task, gradient=BPTT(window=15, engine=engine)).at(ts.once(3)[0])
        generators = {name: torch.Generator().manual_seed(i) for i, name in enumerate(("data", "state", "test"))}
        for piece in learner.pieces(3, generators):
            piece.backward()
        return [parameter.grad for parameter in model.cells.parameters() if parameter.grad is not None]

    expected = gradients("loop")
    for engine in ("adjoint", "parallel"):
        for found, right in zip(gradients(engine), expected, strict=True):
            assert (found - right).norm() < 1e-8 * right.norm()


@pytest.mark.parametrize("task", ["parity", "2afc", "tracking", "text", "history"])
def test_every_task_has_the_option_and_its_folder_tells_it(task: str) -> None:
    usual = config_of({"task": task})
    assert "engine" not in usual.to_dict()
    for engine in ENGINES:
        config = config_of({"task": task, "engine": engine})
        assert config.recipe().engine == engine
        assert (config.name == usual.name) == (engine == "loop")
        assert config_of(config.to_dict()) == config


def test_an_unknown_engine_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--engine", "paralel", "-b", str(tmp_path)]) == 2
    assert "engine 'paralel' is unknown: expected one of loop, adjoint, parallel; did you mean 'parallel'?" in (
        capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())
    for make in (lambda: ts.Recipe(engine="newton"), lambda: BPTT(engine="newton"), lambda: ts.Recipe(engine=None)):  # type: ignore[arg-type]
        with pytest.raises(InputError, match=r"engine .* is unknown: expected one of loop, adjoint, parallel"):
            make()


def test_an_engine_beside_a_learner_of_ones_own_is_refused() -> None:
    model = ts.LeakyRNN(4, n_heads=1, shared_head=True, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="engine is 'adjoint' beside a learner that is given: expected engine 'loop'"):
        ts.train(model, ts.Parity(), ts.once(2), ts.Recipe(engine="adjoint"), learner=Supervised(model, ts.Parity()))
