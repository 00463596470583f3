"""What the tests of sweeps share: a sweep file, and all that a run gave, to be compared bit by bit."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from problems import LinearCell
from tauscope.models.cell import State
from tauscope.runs.checkpoints import load_state
from tauscope.runs.folder import read_metrics

SMALL = {
    "num_neurons": 6, "max_N": 4, "epochs": 2, "steps_per_epoch": 3, "batch_size": 4, "test_steps": 1
}  # fmt: skip


def write(file: Path, **tables: Mapping[str, Any] | list[Mapping[str, Any]] | str) -> Path:
    """Write a sweep file of values that are written alike in JSON and TOML; small runs unless it has options."""
    lines = []
    for name, table in ({"options": SMALL} | tables).items():
        if isinstance(table, str):
            lines.insert(0, f"{name} = {json.dumps(table)}")
        for one in table if isinstance(table, list) else []:
            lines += [f"[[{name}]]", *_rows(one)]
        if isinstance(table, Mapping):
            lines += [f"[{name}]", *_rows(table)]
    file.write_text("\n".join(lines) + "\n")
    return file


def _rows(table: Mapping[str, Any]) -> list[str]:
    return [f"{key} = {json.dumps(value)}" for key, value in table.items()]


def plain(value: Any) -> Any:
    """Return a value to be compared by ``==``: tensors as bytes, records without their wall times."""
    if isinstance(value, Tensor):
        return str(value.dtype), tuple(value.shape), value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if key not in ("seconds", "steps_per_second")}
    return [plain(one) for one in value] if isinstance(value, list | tuple) else value


def result(folder: Path) -> dict[str, Any]:
    """Return all that a run gave, without what depends on the clock."""
    state, notices = load_state(folder)
    assert notices == []
    files = {path.name: path.read_bytes() for path in folder.iterdir() if re.fullmatch(r"rnn_.*|stats\.npy", path.name)}
    return files | {"state": plain(state), "metrics": plain(read_metrics(folder))}


class Dying(LinearCell):
    """A cell that ends its process as the kernel does when memory runs out."""

    def step(self, x: Tensor, state: State, noise: Tensor | None = None) -> State:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().step(x, state, noise)


def record(epoch: int, N: int, solved: bool, **more: Any) -> dict[str, Any]:
    """Return the record of an epoch."""
    times = {"seconds": 2.0, "steps_per_second": 5.0}
    return (
        {
            "epoch": epoch,
            "stage": f"N{N}_N{N}",
            "Ns": [N],
            "loss": 0.7,
            "accuracy": [0.5],
            "solved": solved,
            "finished": False,
        }
        | times
        | more
    )


def keep(folder: Path, options: dict[str, Any], records: list[dict[str, Any]]) -> Path:
    """Write what a run leaves."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(options))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    return folder
