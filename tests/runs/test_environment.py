"""In what mode a run computes, as `environment.json` tells it and a resumed run takes it up."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import tauscope as ts
from tauscope.learning.state import Training
from tauscope.models.kernels import gemm, subnormals
from tauscope.models.kernels.subnormals import can_flush
from tauscope.runs import checkpoints
from tauscope.runs.config import kind_of
from tauscope.runs.environment import SIMULATORS, environment
from tauscope.runs.run import Run

TrainConfig = kind_of("parity")

CONFIG = TrainConfig(num_neurons=4, max_N=4, epochs=2, steps_per_epoch=2, batch_size=3, test_steps=1, seed=0)
MODE = "flushed" if can_flush() else "kept"


def train(folder: Path, stop: int = 10**9) -> tuple[Training, list[str]]:
    """Train a run in its folder, at most for that many steps; also return what it notices."""
    with Run(folder, CONFIG) as run:
        model, state, notices = run.begin()
        config, steps = run.config, iter(range(1, stop + 1))
        arguments = (model, config.template(), config.curriculum(), config.recipe())
        return ts.train(*arguments, state=state, store=run, stop=lambda: next(steps) == stop), notices


def sessions(folder: Path) -> list[dict[str, Any]]:
    return list(json.loads((folder / "environment.json").read_text()))


def test_the_environment_names_the_products_the_subnormals_and_the_processor(tmp_path: Path) -> None:
    train(tmp_path / "run")
    (session,) = sessions(tmp_path / "run")
    assert session["subnormals"] == MODE
    assert set(session["products"]) == {"float32", "bfloat16"}
    assert set(session["products"].values()) <= {"mkl", "onednn"}
    assert session["processor_model"]


def test_the_environment_names_the_packages_that_environments_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SIMULATORS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert not set(SIMULATORS) & set(environment("cpu"))
    imported = ModuleType("mujoco")
    imported.__dict__["__version__"] = "4.0.0"
    monkeypatch.setitem(sys.modules, "mujoco", imported)
    # A module that could not be imported stands there as None.
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    assert {name: environment("cpu").get(name) for name in SIMULATORS} == dict.fromkeys(SIMULATORS) | {
        "mujoco": "4.0.0"
    }


def test_a_run_of_version_0_1_goes_on_with_subnormals(tmp_path: Path) -> None:
    train(tmp_path / "run", stop=2)
    state, _ = checkpoints.load_state(tmp_path / "run")
    assert state is not None
    del state["flushes_subnormals"]
    checkpoints.save_state(tmp_path / "run", state)
    begun = [
        {k: v for k, v in one.items() if k not in ("subnormals", "products")} for one in sessions(tmp_path / "run")
    ]
    (tmp_path / "run" / "environment.json").write_text(json.dumps(begun))
    training, notices = train(tmp_path / "run")
    assert notices == []
    assert not training.flushes_subnormals
    assert sessions(tmp_path / "run")[-1]["subnormals"] == "kept"


def test_a_run_goes_on_in_its_mode_and_notices_another_path_of_products(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "run", stop=2)
    before = sessions(tmp_path / "run")[-1]["products"]
    monkeypatch.setattr(gemm, "product_path", lambda dtype: f"another for {dtype}")
    training, (notice,) = train(tmp_path / "run")
    assert notice.startswith(f"products was {before} and is ")
    assert training.flushes_subnormals == (MODE == "flushed")


@pytest.mark.skipif(not can_flush(), reason="this processor cannot take subnormal numbers for zero")
def test_a_processor_without_the_mode_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "run", stop=2)
    monkeypatch.setattr(subnormals, "can_flush", lambda: False)
    with Run(tmp_path / "run", CONFIG) as run:
        notices = run.begin()[2]
    assert notices == ["subnormals was flushed and is kept: the result will not be bitwise the same"]


@pytest.mark.skipif(not can_flush(), reason="this processor cannot take subnormal numbers for zero")
def test_training_says_so_where_the_processor_has_no_such_mode_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.set_flush_denormal", lambda _: False)
    model = ts.LeakyRNN(4, generator=torch.Generator().manual_seed(0))
    recipe = ts.Recipe(epochs=1, steps_per_epoch=1, batch_size=2, test_steps=1)
    with pytest.warns(RuntimeWarning, match="cannot take subnormal numbers for zero"):
        training = ts.train(model, ts.Parity([2]), ts.cumulative(last=2), recipe)
    assert not training.flushes_subnormals
