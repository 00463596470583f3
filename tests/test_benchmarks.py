from __future__ import annotations

import csv
import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tauscope.models.kernels import processor
from tauscope.models.kernels.subnormals import can_flush, is_flushing

ROOT = Path(__file__).resolve().parents[1]
REFUSED = {
    "--rows fp23": "'fp23' is unknown: expected some of fp32,",
    "--device gpu": "invalid choice: 'gpu'",
    "--device cuda --rows fp32,published": "row 'published' is measured on the CPU alone: expected some of fp32,",
    "--N 1": "'1' cannot be used: expected an integer from 2 to 101",
    "--N 10,102": "'102' cannot be used: expected an integer from 2 to 101",
    "--rounds 0": "'0' cannot be used: expected an integer of at least 1",
    "--threads two": "'two' cannot be used: expected an integer of at least 1",
    "--published .": "expected a checkout of the published code",
}


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command, from the checkout: it is not installed."""
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("benchmarks.__main__")


@pytest.mark.parametrize("arguments", REFUSED)
def test_bad_options_are_refused(
    benchmarks: ModuleType, arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as refusal:
        benchmarks.options(arguments.split())
    assert refusal.value.code == 2
    assert REFUSED[arguments] in capsys.readouterr().err


def test_the_header_says_on_what_and_how_it_is_measured(
    benchmarks: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "neuralrnn", None)
    benchmarks.main(["--rows", "published,neuralrnn", "--threads", "1"])
    printed = capsys.readouterr().out
    for word in (torch.__version__, processor.vendor(), processor.model_name(), *processor.instruction_sets()):
        assert word in printed
    assert "1 thread on " in printed
    assert "products of tauscope: fp32 " in printed
    assert ("flushed to zero" if can_flush() else "cannot flush") in printed
    assert "published: skipped, expected --published DIR" in printed
    assert "neuralrnn: skipped, " in printed


def test_the_header_says_which_products_were_asked_for(benchmarks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAUSCOPE_PRODUCTS", "mkl")
    # The path is found once a process.
    monkeypatch.setattr(benchmarks.machine, "product_path", lambda _: "mkl")
    assert "products of tauscope: fp32 mkl, bf16 mkl (TAUSCOPE_PRODUCTS=mkl)" in benchmarks.machine.description(True)


@pytest.mark.skipif(not can_flush(), reason="this processor cannot flush subnormal numbers")
def test_rows_flush_subnormals_unless_they_keep_them(benchmarks: ModuleType) -> None:
    seen: dict[str, set[bool]] = {"limit": set(), "kept": set()}
    works = {row: lambda modes=modes: modes.add(is_flushing()) for row, modes in seen.items()}
    timings = benchmarks.interleaved(works, 2, 7, rounds=2, kept={"kept"}, shortest=0.0)
    assert seen == {"limit": {True}, "kept": {False}}
    assert not is_flushing()
    assert [len(one.seconds) for one in timings] == [2, 2]


def test_code_of_others_is_measured_both_ways_on_long_sequences(
    benchmarks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept_at: dict[int, set[str]] = {}

    def interleaved(rows: dict[str, object], N: int, *_: int, kept: dict[str, object]) -> list[object]:
        assert set(kept) < set(rows) or not kept
        kept_at[N] = set(kept)
        return []

    monkeypatch.setattr(benchmarks, "interleaved", interleaved)
    works = {row: lambda N: lambda: N for row in ("fp32", "gru", "published")}
    given = benchmarks.options(["--N", "20,30", "--rounds", "1"])
    benchmarks.measure(given, works, {"limit": lambda: None}, flushed=True)
    assert kept_at == {20: set(), 30: {"gru, subnormals kept", "published, subnormals kept"}}


@pytest.fixture
def gpu_on_a_cpu(benchmarks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The command with a GPU that takes a millisecond for the limit and two for a step, and on which bf16 fails."""
    gpu = benchmarks.gpu

    def step(row: str, N: int, device: str) -> object:
        assert device == "cuda"
        if row == "bf16":
            raise RuntimeError("out of memory\nand a long trace")
        return lambda: (row, N)

    monkeypatch.setattr(gpu, "absence", lambda: None)
    monkeypatch.setattr(gpu, "description", lambda: "GPU: none")
    monkeypatch.setattr(gpu, "without_tf32", lambda: None)
    monkeypatch.setattr(gpu, "difference", lambda row: {"fp32": 1e-6}[row])
    monkeypatch.setattr(gpu, "products", lambda dtype, n_steps: lambda: (dtype, n_steps))
    monkeypatch.setattr(gpu, "limit", lambda dtype, n_steps: lambda: (dtype, n_steps))
    monkeypatch.setattr(gpu, "seconds", lambda work, _: 1e-3 if work()[0] is torch.float32 else 2e-3)
    monkeypatch.setattr(gpu.steps, "step", step)
    return benchmarks


def test_on_a_gpu_a_row_that_fails_is_left_out_and_the_others_are_measured(
    gpu_on_a_cpu: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gpu_on_a_cpu.main(["--device", "cuda", "--N", "10,30", "--rounds", "5", "--csv", str(tmp_path / "gpu.csv")])
    printed = capsys.readouterr().out
    assert "N = 10: bf16 is left out, RuntimeError: out of memory\n" in printed
    assert "long trace" not in printed
    assert "fp32: gradient within 1.0e-06 of the processor's\n" in printed
    assert "bf16: gradient not compared, KeyError: 'bf16'\n" in printed
    with (tmp_path / "gpu.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert {line["row"] for line in lines} == {"limit", "calls", "limit16", "calls16", "fp32", "rnn", "gru", "lstm"}
    assert {(line["N"], line["rounds"]) for line in lines} == {("10", "5"), ("30", "5")}
    assert all(float(line["ratio"]) == 2.0 for line in lines if line["row"] in ("fp32", "gru"))


def test_without_a_graph_the_limit_on_a_gpu_is_that_of_single_calls(
    gpu_on_a_cpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def limit(*_: object) -> object:
        raise RuntimeError("capture failed")

    monkeypatch.setattr(gpu_on_a_cpu.gpu, "limit", limit)
    gpu_on_a_cpu.main(["--device", "cuda", "--N", "10", "--rows", "fp32"])
    printed = capsys.readouterr().out
    assert "N = 10: the limit is torch.mm, call by call" in printed
    assert "tauscope, fp32" in printed


def test_a_device_that_computes_another_gradient_is_noticed(
    benchmarks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert benchmarks.gpu.difference("fp32", "cpu") < 1e-6
    right, wrong = (benchmarks.gpu.steps.network("fp32") for _ in range(2))
    with torch.no_grad():
        wrong.cells[0].recurrent.weight.mul_(1.01)
    twins = iter((right, wrong))
    monkeypatch.setattr(benchmarks.gpu.copy, "deepcopy", lambda _: next(twins))
    assert benchmarks.gpu.difference("fp32", "cpu") > 1e-4


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_reason_is_printed(tmp_path: Path) -> None:
    script = ["sh", str(ROOT / "benchmarks" / "gpu.sh"), str(tmp_path / "new")]
    done = subprocess.run(
        script, env=os.environ | {"PYTHON": sys.executable}, capture_output=True, text=True, check=True
    )
    assert "cuda: skipped, no CUDA device" in done.stdout
    assert (tmp_path / "new" / "gpu.txt").read_text() == done.stdout
    assert subprocess.run(script[:2], capture_output=True, check=False).returncode == 2


def test_engines_of_training_are_told_by_how_many_times_as_fast_they_are(
    benchmarks: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table = importlib.import_module("benchmarks.parallel")
    timing = importlib.import_module("benchmarks.timing").Timing
    rows = {"limit": 1.0, table.LOOP: 2.0, table.FAST: 0.5, table.ADJOINT: 0.9, table.NEWTON: 0.05, table.GENERIC: 0.25}
    found = {(1, 4, 1000): [timing(name, 0, 1000, (value,), (value,)) for name, value in rows.items()]}
    monkeypatch.setattr(table, "timings", lambda _: found)
    benchmarks.main(["--rows", "parallel", "--threads", "1", "--csv", str(tmp_path / "found.csv")])
    printed = capsys.readouterr().out
    # The adjoint misses 1.3, the generic Jacobian 5; Newton's method reaches 10.
    (line,) = [line for line in printed.splitlines() if line.startswith("batch 1, n = 4, 1000 steps")]
    assert line.split("steps")[1].split() == ["1000.0", "0.50", "2.00", "!", "1.11", "20.00", "!", "4.00"]
    with (tmp_path / "found.csv").open(newline="") as file:
        assert [row["row"].rpartition(": ")[2] for row in csv.DictReader(file)] == list(rows)
