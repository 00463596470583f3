"""Networks and tasks that were made in Python, kept in a folder and read again by Python and by the commands."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.utils.prune
from torch import nn

import tauscope as ts
from tauscope.cli import main
from tauscope.models import BalancedRNN, ReluRNN
from tauscope.runs.loading import trained_task
from tauscope.tasks import History, Tracking, TwoAlternativeChoice

OWN = '''
from dataclasses import dataclass

import torch
from torch import nn

import tauscope as ts


class Adapting(ts.Cell):
    """A cell of a user's own, with an option."""

    def __init__(self, n_inputs, n_units, generator, rate=0.5):
        super().__init__(n_inputs, n_units)
        self.rate = rate
        self.weight = nn.Parameter(torch.randn(n_units, n_inputs, generator=generator))

    def step(self, x, state, noise=None):
        return ((1 - self.rate) * state[0] + self.rate * torch.tanh(x @ self.weight.t()),)


@dataclass(frozen=True)
class Copying(ts.Parity):
    """Parity with an option of its own."""

    strength: float = 1.0


class Hidden(ts.Parity):
    """Keeps an option under another name."""

    def __init__(self, Ns=(2,), noise=0.1):
        super().__init__(Ns)
        object.__setattr__(self, "_noise", noise)


class Hooked(ts.Cell):
    """Keeps its option under another name."""

    def __init__(self, n_inputs, n_units, generator, rate=0.5):
        super().__init__(n_inputs, n_units)
        self.kept = rate

    def step(self, x, state, noise=None):
        return (self.kept * state[0] + x.sum(dim=-1, keepdim=True),)
'''


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def heads(n_units: int, names: Any = ("N2", "N3", "N4"), bias: bool = True) -> ts.Heads:
    return ts.Heads(n_units, names, 2, False, seeded(), bias)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "own_saved.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    import own_saved  # type: ignore[import-not-found]

    yield own_saved
    sys.modules.pop("own_saved", None)


NETWORKS: dict[str, Callable[[], tuple[ts.Model, ts.Task]]] = {
    "leaky": lambda: (ts.LeakyRNN(6, n_heads=3, generator=seeded()), ts.Parity((2, 3, 4))),
    "layers": lambda: (
        ts.LeakyRNN([4, 4], n_heads=2, form="mod", afunc="tanh", generator=seeded()),
        ts.DelayedMatchToSample((2, 3), plus_minus=True),
    ),
    "fixed tau": lambda: (ts.LeakyRNN(5, n_heads=2, tau=2.5, shared_head=True, generator=seeded()), ts.Parity(5)),
    "continuous": lambda: (ts.LeakyRNN(5, n_heads=1, form="continuous", generator=seeded()), ts.Parity(2, repeat=3)),
    "bare leaky": lambda: (
        ts.Model([ts.LeakyCell(2, 5, seeded(), afunc="tanh", bias=False, diagonal=True, sigma=0.3, start=0.0)],
                 heads(5, ["out"], bias=False)),
        Tracking(n_signals=2, n_steps=20),
    ),
    "double": lambda: (ts.build_model("lstm", 5, n_heads=2, generator=seeded()).double(), ts.Parity((2, 3))),
    "gru": lambda: (ts.build_model("gru", [5, 4], n_heads=2, generator=seeded()), ts.Parity((2, 3))),
    "hebbian": lambda: (
        ReluRNN(6, n_inputs=50, cell="hebbian", gamma=1e-3, generator=seeded()),
        TwoAlternativeChoice(stim_steps=3, delay_steps=4, resp_steps=5),
    ),
    "balanced": lambda: (BalancedRNN(6, sigma=0.5, balance=2.0, generator=seeded()), Tracking(n_steps=20)),
    "history": lambda: (ts.Model([ts.GRUCell(8, 5, seeded())], ts.Heads(5, ["out"], 8, True, seeded())), History()),
}  # fmt: skip


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_was_saved_is_loaded_as_it_was(kind: str, tmp_path: Path) -> None:
    model, task = NETWORKS[kind]()
    path = ts.save(model, tmp_path / "network", task=task)
    Ns = getattr(task, "Ns", None)
    assert path.name == (f"rnn_N{Ns[0]}_N{Ns[-1]}" if Ns else "rnn_task")
    assert trained_task(path) == task
    for loaded in (ts.load(path), ts.load(tmp_path / "network")):
        assert loaded.heads.names == model.heads.names
        inputs = torch.linspace(-1, 1, 4 * 3 * model.n_inputs).view(4, 3, -1)
        ours, theirs = (ts.run(network, inputs, seeded(), heads=network.heads.names[:1]) for network in (model, loaded))
        assert torch.equal(ours.states, theirs.states)
        assert torch.equal(ours.outputs, theirs.outputs)


def test_a_network_that_computed_in_bfloat16_is_loaded_in_full_precision(tmp_path: Path) -> None:
    rough = ts.LeakyRNN(6, n_heads=1, precision="bf16", generator=seeded())
    ts.save(rough, tmp_path, task=ts.Parity(2))
    inputs, plain = torch.ones(9, 2, 1), ts.LeakyRNN(6, n_heads=1, generator=seeded())
    assert torch.equal(ts.load(tmp_path)(inputs)[0], plain(inputs)[0])


def test_the_commands_read_it(tmp_path: Path) -> None:
    model, folder = ts.LeakyRNN(6, n_heads=3, generator=seeded()), str(tmp_path / "network")
    ts.save(model, folder, task=ts.Parity((2, 3)))
    ts.save(model, folder, task=ts.Parity((2, 3, 4)))
    assert main(["evaluate", folder, "--sequences", "64", "--Ns", "2-4"]) == 0
    assert main(["analyze", "connectivity", folder, "--last"]) == 0
    assert main(["report", folder]) == 0
    page = (tmp_path / "network" / "report.html").read_text()
    assert "rnn_N2_N3" in page
    assert (tmp_path / "network" / "analysis" / "rnn_N2_N4_connectivity.nc").is_file()
    assert "6 leaky" in page or "6 units" in page


@pytest.mark.parametrize("kind", ["balanced", "hebbian", "bare leaky"])
def test_the_commands_read_networks_of_trials(kind: str, tmp_path: Path) -> None:
    model, task = NETWORKS[kind]()
    ts.save(model, tmp_path / "network", task=task, stage="early")
    path = ts.save(model, tmp_path / "network", task=task, stage="late")
    assert path.name == "rnn_late"
    assert main(["analyze", "performance", str(tmp_path / "network")]) == 0
    found = {file.name for file in (tmp_path / "network" / "analysis").glob("*.nc")}
    assert found == {"rnn_early_performance.nc", "rnn_late_performance.nc"}
    assert main(["report", str(tmp_path / "network")]) == 0


def test_a_users_own_task_and_cell_are_imported_by_who_names_them(
    own: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ts.Model([own.Adapting(1, 4, seeded(), rate=0.25)], heads(4))
    folder = tmp_path / "network"
    path = ts.save(model, folder, task=own.Copying((2, 3), strength=2.0))
    with pytest.raises(ts.InputError, match="expected cell='own_saved:Adapting' to allow importing it"):
        ts.load(path)
    assert ts.load(path, cell="own_saved:Adapting").layers[0].rate == 0.25
    asked = ["evaluate", str(folder), "--sequences", "32"]
    assert main([*asked, "--cell", "own_saved:Adapting"]) == 2
    assert "expected --task own_saved:Copying too, to allow importing it" in capsys.readouterr().err
    named = ["--cell", "own_saved:Adapting", "--task", "own_saved:Copying"]
    assert main([*asked, *named]) == 0
    assert main(["analyze", "dimensionality", str(folder), *named]) == 0
    assert trained_task(path).strength == 2.0  # type: ignore[attr-defined]


class Local(ts.LeakyRNN):
    """A network of a user's own."""


def pruned() -> ts.Model:
    model = ts.LeakyRNN(4, n_heads=1, generator=seeded())
    torch.nn.utils.prune.l1_unstructured(model.layers[0].recurrent, "weight", amount=3)  # type: ignore[arg-type]
    return model


def in_main() -> type[ts.Task]:
    return type("Scripted", (ts.Parity,), {"__module__": "__main__"})


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda _: (ts.wrap(lambda x, h: h + x, 1, 1, heads=heads(1)), ts.Parity()), "the network of WrappedCell cannot be made anew .*expected cells made of"),
        (lambda _: (Local(4, generator=seeded()), ts.Parity()), "the network is a Local: expected a tauscope Model"),
        (lambda _: (pruned(), ts.Parity()), "the network has .*weight_.*, which its class does not make: expected plain weights"),
        (lambda _: (nn.GRU(1, 3, device="meta"), ts.Parity()), "the network is of type GRU"),
        (lambda _: (ts.LeakyRNN(3, generator=seeded()), ts.Parity), "task is the class Parity itself"),
        (lambda _: (ts.LeakyRNN(3, generator=seeded()), in_main()()), "task Scripted is not found by the commands: .*module of its own"),
        (lambda own: (ts.LeakyRNN(3, generator=seeded()), own.Hidden(noise=0.7)), "Hidden cannot be made anew of its fields: its _noise"),
        (lambda own: (ts.Model([own.Hooked(1, 3, seeded(), rate=0.9)], heads(3)), ts.Parity()), "made anew answers otherwise"),
        (lambda _: (ts.Model([ts.LeakyCell(1, 3, seeded())], heads(3), start=nn.Linear(2, 3, device="meta")), ts.Parity()), "without a start"),
    ],
)  # fmt: skip
def test_what_could_not_be_made_anew_is_refused_and_nothing_is_written(
    make: Callable[[Any], tuple[Any, Any]], line: str, own: Any, tmp_path: Path
) -> None:
    model, task = make(own)
    with pytest.raises(ts.InputError, match=line) as refused:
        ts.save(model, tmp_path / "network", task=task)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "network").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    model = ts.LeakyRNN(4, n_heads=2, generator=seeded())
    ts.save(model, tmp_path / "network", task=ts.Parity(2))
    for other, task in ((ts.LeakyRNN(5, n_heads=2, generator=seeded()), ts.Parity(2)), (model, ts.Parity(2, p=0.5)),
                        (model, ts.DelayedMatchToSample(2))):  # fmt: skip
        with pytest.raises(ts.InputError, match="holds a network of another kind or task"):
            ts.save(other, tmp_path / "network", task=task)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(ts.InputError, match="holds a run: expected a folder of the network's own"):
        ts.save(model, tmp_path / "run", task=ts.Parity(2))
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "rnn_N2_N2").write_bytes(b"")
    with pytest.raises(ts.InputError, match=r"holds rnn_N2_N2 but no network.json"):
        ts.save(model, tmp_path / "foreign", task=ts.Parity(2))
    with pytest.raises(ts.InputError, match="expected a name that a file can have on any system"):
        ts.save(model, tmp_path / "network", task=ts.Parity(2), stage="../run/late")


def test_a_damaged_description_is_refused(tmp_path: Path) -> None:
    path = ts.save(ts.LeakyRNN(4, n_heads=2, generator=seeded()), tmp_path, task=ts.Parity(2))
    content = json.loads((tmp_path / "network.json").read_text())
    content["network"]["layers"][0]["n_units"] = 10**6
    for text in (json.dumps(content), "{", "[]"):
        (tmp_path / "network.json").write_text(text)
        with pytest.raises(ts.DamagedFileError, match=r"network\.json"):
            ts.load(path)


def test_the_readme_runs_anywhere(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    # As it stands, with fewer steps and a smaller network.
    for pattern, little in (
        (r"epochs=\d+", "epochs=1"),
        (r"steps_per_epoch=\d+", "steps_per_epoch=2"),
        (r"LeakyRNN\(\d+", "LeakyRNN(8"),
    ):
        code, n_changes = re.subn(pattern, little, code)
        assert n_changes == 1
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert math.isclose(float(ended.stdout.splitlines()[1].split()[1]), 0.5, abs_tol=0.3)
