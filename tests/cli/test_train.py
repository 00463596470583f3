"""``tauscope train`` as a user runs it: stopped, killed, starved of disk, misspelt, and gone on with."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
import torch

from sweeping import plain, result
from tauscope.cli import main
from tauscope.learning import curricula
from tauscope.learning.state import Training
from tauscope.runs.asking import read_config
from tauscope.runs.checkpoints import load_state
from tauscope.runs.config import kind_of
from tauscope.runs.folder import read_metrics
from tauscope.runs.run import Run

TrainConfig = kind_of("parity")

SMALL = shlex.split("-nn 6 -s 0 --max-N 4 --epochs 3 --steps-per-epoch 3 --batch-size 4 --test-steps 1")
NAME = "cumulative_parity_size_6_network_1"


def train(base: Path, *arguments: str) -> int:
    return main(["train", *SMALL, "-b", str(base), *arguments])


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return the content and the time of change of everything below a folder."""
    return {
        str(path.relative_to(folder)): (path.read_bytes() if path.is_file() else b"", path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def without_finished(run: dict[str, Any]) -> dict[str, Any]:
    """Return a result without the records' word on whether the run was finished, which depends on what was asked."""
    for record in [*run["metrics"], *run["state"]["history"]]:
        del record["finished"]
    return run


@pytest.fixture
def all_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every epoch solve its stage, so that a few steps make a whole run."""
    monkeypatch.setattr(curricula.Criterion, "is_solved", lambda *_: True)


# --- processes --------------------------------------------------------------------------------------------------------

# Imports the package once, and forks a process for every command line.
SERVER = """
import json, os, resource, signal, stat, sys
import torch
from tauscope.learning import curricula, training
from tauscope.cli import main

torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # which imports what takes longest

def die_at(event):
    left = [event]
    def counted(function):
        def call(*arguments, **options):
            left[0] -= 1
            if left[0] == 0:
                if function is fsync and stat.S_ISREG(os.fstat(arguments[0]).st_mode):
                    os.ftruncate(arguments[0], os.fstat(arguments[0]).st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        return call
    fsync = os.fsync
    os.fsync, os.replace, training._step = counted(os.fsync), counted(os.replace), counted(training._step)

for line in sys.stdin:
    request = json.loads(line)
    pipes = [os.pipe(), os.pipe()]
    pid = os.fork()
    if pid == 0:
        for target, (_, end) in enumerate(pipes, start=1):
            os.dup2(end, target)
        if request["solved"]:
            curricula.Criterion.is_solved = lambda *_: True
        if request["event"]:
            die_at(request["event"])
        if request["limit"] is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (request["limit"], request["limit"]))
        code = main(request["arguments"])
        sys.stdout.flush()
        os._exit(code)
    texts = []
    for read, write in pipes:
        os.close(write)
        texts.append("")
        for line in open(read):
            texts[-1] += line
            if request["signal"] and line.startswith("epoch 3 "):
                os.kill(pid, request["signal"])
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    print(json.dumps([code, *texts]), flush=True)
"""


@dataclass
class Ended:
    code: int
    out: str
    err: str


class Processes:
    """Runs ``tauscope train`` in processes of its own.

    ``event`` is the number of the optimiser step, flush or rename at which the process is killed as by ``kill -9``,
    with the file half written that it was writing; ``signal`` what it is sent after its third epoch; ``limit`` the size
    in bytes to which files can grow; ``solved`` whether every epoch solves its stage.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-c", SERVER]
        self._process = subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True)

    def __call__(
        self, base: Path, *arguments: str, event: int = 0, limit: int | None = None, solved: bool = True
    ) -> Ended:
        line = ["train", *SMALL, "-b", str(base), *arguments]
        return self.call(line, event=event, limit=limit, solved=solved)

    def call(self, arguments: list[str], **options: Any) -> Ended:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        defaults = {"event": 0, "limit": None, "signal": 0, "solved": False}
        self._process.stdin.write(json.dumps(defaults | options | {"arguments": arguments}) + "\n")
        self._process.stdin.flush()
        return Ended(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    started = Processes()
    yield started
    started.close()


@pytest.mark.parametrize("save_every", ["60", "0"])
def test_a_run_killed_at_any_moment_and_begun_again_ends_as_if_nothing_had_been(
    save_every: str, tmp_path: Path, processes: Processes
) -> None:
    flags = ["--steps-per-epoch", "2", "--epochs", "2", "--save-every", save_every]
    assert processes(tmp_path / "straight", *flags).code == 0
    reached = (0, 0)
    for event in itertools.count(1):
        ended = processes(tmp_path / "killed", *flags, event=event)
        if ended.code == 0:
            break
        assert (ended.code, ended.err) == (-signal.SIGKILL, "")
        folder = tmp_path / "killed" / NAME
        state = load_state(folder)[0] if folder.exists() else None
        # What was once saved is never lost.
        before, reached = reached, (state["epoch"], state["step"]) if state else (0, 0)
        assert reached >= before
    assert event > 20
    assert result(tmp_path / "killed" / NAME) == result(tmp_path / "straight" / NAME)
    # Nothing is left of the files that were being written.
    assert set(tree(tmp_path / "killed")) == set(tree(tmp_path / "straight"))


LONG = shlex.split("-nn 12 --optimizer adam --lr 0.03 --epochs 30 --steps-per-epoch 5 --max-N 101")
LONG_NAME = "cumulative_parity_size_12_network_1"


@pytest.fixture(scope="module")
def straight(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    base = tmp_path_factory.mktemp("straight")
    assert processes(base, *LONG, solved=False).code == 0
    return result(base / LONG_NAME)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_a_run_so_that_it_can_be_gone_on_with_exactly(
    number: signal.Signals, tmp_path: Path, processes: Processes, straight: dict[str, Any]
) -> None:
    command = ["train", *SMALL, "-b", str(tmp_path), *LONG]
    if number == signal.SIGTERM:
        # As the program itself, the others as forks of one process that has imported it.
        with subprocess.Popen([sys.executable, "-m", "tauscope", *command], stdout=PIPE, stderr=PIPE, text=True) as one:
            assert one.stdout is not None
            assert one.stderr is not None
            while not one.stdout.readline().startswith("epoch 3 "):
                assert one.poll() is None
            one.send_signal(number)
            out, err = one.stdout.read(), one.stderr.read()
        ended = Ended(one.returncode, out, err)
    else:
        ended = processes.call(command, signal=number)
    assert ended.err == ""
    again = command
    if number == signal.SIGKILL:
        assert ended.code == -number
    else:
        assert ended.code == 128 + number
        stopped = re.fullmatch(
            rf"stopped by {number.name} in epoch (\d+) after step (\d+), all saved; go on: (tauscope train --resume .*)",
            ended.out.splitlines()[-1],
        )
        assert stopped
        state, _ = load_state(tmp_path / LONG_NAME)
        assert state is not None
        assert (state["epoch"] + 1, state["step"]) == (int(stopped[1]), int(stopped[2]))
        if number == signal.SIGTERM:
            again = shlex.split(stopped[3])[1:]
    assert 3 <= len(read_metrics(tmp_path / LONG_NAME)) < 30
    ended = processes.call(again)
    assert (ended.code, ended.err) == (0, "")
    assert result(tmp_path / LONG_NAME) == straight


def one_line(err: str) -> str:
    (line,) = err.splitlines()
    assert line.startswith("tauscope: error: ")
    return line


@pytest.mark.parametrize("limit", [0, 100])
def test_a_disk_that_is_full_at_the_start_leaves_nothing(limit: int, tmp_path: Path, processes: Processes) -> None:
    ended = processes(tmp_path / "base", limit=limit)
    assert ended.code == 2
    assert "cannot write" in one_line(ended.err)
    assert tree(tmp_path) == {}


def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path, processes: Processes) -> None:
    assert processes(tmp_path / "straight").code == 0
    size = (tmp_path / "straight" / NAME / "rnn_init").stat().st_size
    # First there is no room for the initial network, then none for a state, then for what comes after a state.
    for limit in (size - 1, size):
        ended = processes(tmp_path / "full", "--save-every", "0", limit=limit)
        assert ended.code == 2
        assert "File too large; expected a writable folder with room for" in one_line(ended.err)
        assert not (tmp_path / "full").exists()
    steps = ["--time-limit", "0"]
    assert processes(tmp_path / "full", *steps).code == 0
    state, _ = load_state(tmp_path / "full" / NAME)
    assert processes(tmp_path / "full", limit=1000).code == 2
    assert plain(load_state(tmp_path / "full" / NAME)[0]) == plain(state)
    assert processes(tmp_path / "full").code == 0
    assert result(tmp_path / "full" / NAME) == result(tmp_path / "straight" / NAME)


# --- in this process --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("all_solved")
@pytest.mark.parametrize(
    "flags",
    [
        "-c cumulative -dh 2 --max-N 9",
        "-c sliding -ih 3 -fh 2 -t dms --max-N 9 --optimizer adam",
        "-c single -m mod -a tanh",
        "-c single_nocurr -ni 5 --max-N 9 -T 2",
        "-m continuous -dup 2,3 -a relu --optimizer adam",
        "--gru -c single --optimizer sgd",
        "--lstm -c sliding",
        "--num-layers 2 --labels every",
        "--cell problems:LinearCell",
    ],
)
def test_a_run_stopped_after_every_step_ends_as_an_uninterrupted_one(
    flags: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--steps-per-epoch", "2", "--epochs", "2", *flags.split()]
    assert train(tmp_path / "straight", *arguments) == 0
    (folder,) = (tmp_path / "straight").iterdir()
    expected = result(folder)
    assert len(expected["metrics"]) == (1 if "nocurr" in flags else 2)
    steps = 2 * len(expected["metrics"])
    capsys.readouterr()
    for step in range(steps):
        assert train(tmp_path / "stopped", *arguments, "--time-limit", "0") == 0
        out = capsys.readouterr().out
        assert f"stopped by time limit in epoch {step // 2 + 1} after step {step % 2 + 1}, all saved" in out
    assert train(tmp_path / "stopped", *arguments) == 0
    assert result(tmp_path / "stopped" / folder.name) == expected
    assert f"finished after {steps // 2} epochs: solved N = " in capsys.readouterr().out


@pytest.mark.usefixtures("all_solved")
def test_a_damaged_state_is_noticed_and_made_up_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "straight")
    train(tmp_path / "damaged", "--time-limit", "0")
    train(tmp_path / "damaged", "--time-limit", "0")
    state = tmp_path / "damaged" / NAME / "state.pt"
    state.write_bytes(state.read_bytes()[:-7])
    capsys.readouterr()
    assert train(tmp_path / "damaged") == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert (
        first == f"note: {state} is damaged: its checksum does not match its content; going on from state.previous.pt"
    )
    assert result(tmp_path / "damaged" / NAME) == result(tmp_path / "straight" / NAME)


@pytest.mark.usefixtures("all_solved")
@pytest.mark.parametrize("again", ["same command", "--resume"])
def test_raised_epochs_go_on_as_if_they_had_been_asked_at_once(again: str, tmp_path: Path) -> None:
    assert train(tmp_path / "straight", "--epochs", "3") == 0
    assert train(tmp_path / "raised", "--epochs", "1") == 0
    if again == "--resume":
        assert main(["train", "--resume", str(tmp_path / "raised" / NAME), "--epochs", "3"]) == 0
    else:
        assert train(tmp_path / "raised", "--epochs", "3") == 0
    runs = [without_finished(result(tmp_path / base / NAME)) for base in ("straight", "raised")]
    assert runs[0] == runs[1]


@pytest.mark.usefixtures("all_solved")
def test_a_raised_max_N_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path, "--epochs", "9") == 0
    assert "finished after 3 epochs: solved N = 4\n" in capsys.readouterr().out
    assert main(["train", "--resume", str(tmp_path / NAME), "--max_N", "6"]) == 0
    assert "finished after 5 epochs: solved N = 6\n" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / NAME).glob("rnn_N*")} == {f"rnn_N2_N{N}" for N in range(2, 7)}


@pytest.mark.usefixtures("all_solved")
def test_a_finished_run_says_so_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path)
    before = result(tmp_path / NAME)
    capsys.readouterr()
    assert train(tmp_path) == 0
    assert "finished after 3 epochs: solved N = 4" in capsys.readouterr().out
    assert result(tmp_path / NAME) == before


def test_what_is_printed_to_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == ""
    assert lines[0] == f"{tmp_path / NAME}: seed 0, cpu, {torch.get_num_threads()} threads"
    for epoch, line in enumerate(lines[1:4], start=1):
        assert re.fullmatch(rf"epoch {epoch} \| loss \d\.\d{{4}} \| N 2: \d+\.\d % \| \d+\.\d steps/s", line)
    assert lines[4:] == ["finished after 3 epochs: solved no N; raise --epochs to go on"]


def test_runs_are_kept_in_trained_models_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", *SMALL]) == 0
    assert (tmp_path / "trained_models" / NAME / "state.pt").is_file()


def test_a_signal_handler_of_the_user_is_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    train(tmp_path)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_run_for_which_there_is_no_memory_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path / "runs", "--batch_size", str(10**15)) == 2
    assert one_line(capsys.readouterr().err).startswith("tauscope: error: not enough memory: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("all_solved")
def test_a_run_that_fails_later_keeps_its_epochs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Run.save_epoch

    def fails_at_the_second(run: Run, training: Training, name: str | None) -> None:
        if training.epoch == 2:
            raise MemoryError
        kept(run, training, name)

    monkeypatch.setattr(Run, "save_epoch", fails_at_the_second)
    assert train(tmp_path, "--epochs", "3") == 2
    one_line(capsys.readouterr().err)
    assert len(read_metrics(tmp_path / NAME)) == 1
    monkeypatch.undo()
    assert train(tmp_path, "--epochs", "3") == 0


def test_diverged_training_ends_with_3_and_keeps_what_was_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, "--lr", "1e30", "--save-every", "0") == 3
    line = one_line(capsys.readouterr().err)
    assert re.search(
        r"training diverged at epoch \d, step \d, stage N2_N2: loss .*try a learning rate below 1e\+30$", line
    )
    state, notices = load_state(tmp_path / NAME)
    assert notices == []
    assert state is not None
    assert all(bool(torch.isfinite(one).all()) for one in state["model"].values())


@pytest.mark.usefixtures("all_solved")
def test_tensorboard_gets_every_record(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    assert train(tmp_path, "--tensorboard") == 0
    (events,) = (tmp_path / NAME / "tensorboard").iterdir()
    content = events.read_bytes()
    for tag in (b"loss", b"steps_per_second", b"accuracy/N2", b"accuracy/N4"):
        assert tag in content
    assert content.count(b"accuracy/N2") == 3
    assert content.count(b"accuracy/N4") == 1


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "-t paritty",
            "task 'paritty' is unknown: expected one of parity, dms, de1, de2, cd, cd2, gde, 2afc, sine, comp, tracking, history, text, functional, filter, path-integration, head-direction, copy, cue, cue-game, gymnasium, series, digits, cloning, neurogym:; did you mean 'parity'?",
        ),
        ("-c cumulativ", "did you mean 'cumulative'?"),
        ("-m modd", "did you mean 'mod'?"),
        ("-a rellu", "did you mean 'relu'?"),
        ("--cell grru", "did you mean 'gru'?"),
        ("--num_neuron 5", "unknown argument '--num_neuron': did you mean '--num_neurons'?"),
        ("--optimizer sdg", "did you mean 'sgd'?"),
        ("--labels frist", "labels 'frist' is unknown: expected one of last, every"),
        ("-nn 0", "num_neurons is 0: expected at least 1 (nearest valid value: 1)"),
        ("-nn -5", "num_neurons is -5: expected at least 1"),
        ("-nn many", "invalid int value: 'many'"),
        ("--num-layers 0", "num_layers is 0: expected at least 1"),
        ("-n -1", "network_number is -1: expected at least 0"),
        ("-T 0.5", "tau is 0.5: expected at least 1.0 (nearest valid value: 1.0)"),
        ("-T nan", "tau is nan: expected a finite number"),
        ("--epochs 0", "epochs is 0: expected at least 1"),
        ("--steps-per-epoch -3", "steps per epoch is -3: expected at least 1"),
        ("--batch-size 0", "batch size is 0: expected at least 1"),
        ("--test-steps 0", "test steps is 0: expected at least 1"),
        ("--lr 0", "lr is 0.0: expected a number above 0"),
        ("--lr inf", "lr is inf: expected a finite number"),
        ("--momentum 1", "momentum is 1.0: expected a number in [0, 1)"),
        ("--clip -1", "clip is -1.0: expected a number above 0"),
        ("-s -1", "seed is -1: expected at least 0"),
        ("--p 1.5", "p is 1.5: expected a probability (nearest valid value: 1.0)"),
        ("-ni 1", "ns_init is 1: expected at least 2"),
        ("--max-N 1", "max N is 1: expected at least the first N, 2"),
        ("-ih 200 --max-N 101", "init heads is 200: expected at most 100, for N = 2 ... 101"),
        ("-dh 0", "add heads is 0: expected at least 1"),
        ("-c sliding -fh 0", "forget heads is 0: expected at least 1"),
        ("-dup 2,3", "expected model_type 'continuous' with duplicates"),
        ("-m continuous", "expected model_type 'continuous' with duplicates"),
        ("-m continuous -dup 0", "duplicates is 0: expected at least 1"),
        ("--gru -T 2", "tau is 2.0, an option of the leaky cell: expected None with cell 'gru'"),
        ("--lstm --precision bf16", "precision is bf16, an option of the leaky cell: expected fp32"),
        ("--cell nowhere:Cell", "module 'nowhere' cannot be imported"),
        ("--cell problems:LinearCel", "did you mean 'LinearCell'?"),
        ("--cell problems:delay_line", "is not a cell: expected a subclass of tauscope.Cell"),
        ("--device warp", "device 'warp' cannot be used here: expected auto, cpu, or a device of this machine"),
        ("--threads 0", "threads is 0: expected at least 1"),
        ("--save-every -1", "save_every is -1.0: expected at least 0"),
        ("--save-every nan", "save_every is nan: expected at least 0"),
        ("--time-limit soon", "invalid duration, such as 90s, 30m or 2h value: 'soon'"),
        ("-b {base}/file", "Not a directory; expected a writable folder"),
        ("--resume {base}/runn", "to resume: expected one of {base}/run; did you mean '{base}/run'?"),
        ("--resume {base}/run", "cannot change in a resumed run: expected epochs or max_N with --resume"),
    ],
)
def test_bad_input_is_one_line_with_code_2_and_writes_nothing(
    flags: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(TrainConfig(seed=0).to_dict()))
    before = tree(tmp_path)
    # Without a seed too: it is drawn only after everything else was found to be valid.
    for seed in (["-s", "0"], []):
        arguments = ["train", "-nn", "6", *seed, *flags.format(base=tmp_path).split()]
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert message.format(base=tmp_path) in one_line(captured.err)
        assert tree(tmp_path) == before


def test_a_missing_extra_is_named_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert train(tmp_path / "base", "--tensorboard") == 2
    assert "expected pip install 'tauscope[track]'" in one_line(capsys.readouterr().err)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        ("another run", "holds a different run: its batch_size is 4, not 5; give network number 2 for a new run"),
        ("another seed", "holds a different run: its seed is 0, not 1"),
        ("too large N", "max_N is 200: the network in"),
        ("configuration", "config.json"),
        ("no configuration", "holds rnn_init but no config.json: expected an empty folder or a run of tauscope's"),
        ("both states", "no intact state is left"),
        ("another state", "is the state of a different network"),
        ("no state", "holds a run that cannot go on, because its state.pt is not there"),
        ("other process", "is being written by process"),
    ],
)
def test_a_folder_that_cannot_be_gone_on_with_is_left_as_it_is(
    harm: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path) == 0
    folder, flags = tmp_path / NAME, ["--epochs", "9"]
    match harm:
        case "another run":
            flags += ["--batch-size", "5"]
        case "another seed":
            flags += ["-s", "1"]
        case "too large N":
            flags += ["--max-N", "200"]
        case "configuration":
            (folder / "config.json").write_text('{"task": "parity", "hedas": 1}')
        case "no configuration":
            (folder / "config.json").unlink()
        case "both states":
            for path in folder.glob("state*.pt"):
                path.write_bytes(path.read_bytes()[:-1])
        case "no state":
            for path in folder.glob("state*.pt"):
                path.unlink()
        case "another state":
            train(tmp_path, "-nn", "5")
            for path in folder.glob("state*.pt"):
                path.write_bytes((tmp_path / "cumulative_parity_size_5_network_1" / path.name).read_bytes())
    capsys.readouterr()
    holder = Run(folder, read_config(folder)) if "process" in harm else None
    before = {name: one for name, one in tree(tmp_path).items() if not name.endswith("run.lock")}
    assert train(tmp_path, *flags) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in one_line(captured.err)
    assert {name: one for name, one in tree(tmp_path).items() if not name.endswith("run.lock")} == before
    if holder is not None:
        holder.close()


def test_the_error_of_a_wrong_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["trian"], ["--verion"]):
        assert main(arguments) == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        one_line(captured.err)
