"""What answers at once: help, versions, status and every refused command line import nothing that takes seconds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tauscope.cli import COMMANDS, main

HEAVY = ("torch", "pandas", "xarray", "scipy.stats", "sklearn", "matplotlib")

# Runs command lines one after the other, and tells of each how it ended and what it was the first to import.
PROGRAM = """
import json, sys
from tauscope.cli import main

seen, told = set(), []
lines, heavy = json.loads(sys.argv[1]), json.loads(sys.argv[2])
for line in lines:
    try:
        code = main(line)
    except SystemExit as end:
        code = end.code or 0
    imported = [name for name in heavy if name in sys.modules and name not in seen]
    seen |= set(imported)
    told.append([code, imported])
print("\\n" + json.dumps(told))
"""


def told(lines: list[list[str]], folder: Path) -> list[tuple[list[str], int, list[str], str]]:
    """Return each line, its exit code, what it imported, and its error line if it was refused."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(lines), json.dumps(HEAVY)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=300)
    ends = json.loads(done.stdout.splitlines()[-1])
    errors = iter(done.stderr.splitlines())
    return [(line, code, new, next(errors) if code else "") for line, (code, new) in zip(lines, ends, strict=True)]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run ``runs/R``, and files that are none."""
    base = tmp_path_factory.mktemp("startup")
    small = "-nn 4 -s 0 --max-N 3 --epochs 1 --steps-per-epoch 1 --batch-size 2 --test-steps 1"
    assert main(["train", *small.split(), "-b", str(base / "runs")]) == 0
    (run,) = (base / "runs").iterdir()
    (run / "rnn_N2_N2").write_bytes((run / "rnn_init").read_bytes())
    run.rename(base / "runs" / "R_parity_network_1")
    # As version 0.1 left it: the last record does not say how many epochs there may be.
    old = shutil.copytree(base / "runs" / "R_parity_network_1", base / "old" / "R_parity_network_1")
    records = [json.loads(line) for line in (old / "metrics.jsonl").read_text().splitlines()]
    for record in records:
        record.pop("epochs", None)
    (old / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    (base / "foreign.html").write_text("mine")
    (base / "misspelt.toml").write_text('base_path = "runs"\n[options]\nlearning_rate = 0.1\n')
    (base / "wrong.toml").write_text('base_path = "runs"\n[options]\nlr = -0.1\n')
    return base


RUN = "runs/R_parity_network_1"


def test_help_the_version_and_status_import_nothing_heavy(base: Path) -> None:
    lines = [["--help"], ["--version"], ["status", "runs"], ["status", "old"], *([name, "--help"] for name in COMMANDS)]
    lines += [
        ["train", "--task", name, "--help"] for name in ("parity", "2afc", "tracking", "text", "path-integration")
    ]
    for line, code, imported, error in told(lines, base):
        assert (code, imported, error) == (0, [], ""), line


REFUSED = [
    ("bogus", "'bogus' is unknown: expected one of train, "),
    ("trian --task parity", "did you mean 'train'"),
    ("", "command"),
    ("train --task party", "did you mean 'parity'"),
    ("train --task party --help", "did you mean 'parity'"),
    ("train --tsak parity", "did you mean '--task'"),
    ("train --task 2afc --lambda_vall 1", "did you mean '--lambda_val'"),
    ("train --task 2afc --ns_init 3", "ns_init is an option of the tasks parity, dms"),
    ("train --task 2afc --condition tetherd", "did you mean 'tethered'"),
    ("train --task 2afc --cell lstn", "did you mean 'lstm'"),
    ("train --task 2afc --delay_steps 0", "delay"),
    ("train --task 2afc --lambda_val nan", "expected a finite number"),
    ("train --task tracking --start eii", "did you mean 'ei'"),
    ("train --task tracking --dt 0", "dt is 0.0"),
    ("train --task text --text milto", "did you mean 'milton'"),
    ("train --task text --text foreign.html", "test part has 0 characters: expected less"),
    ("train --task text --cell mi --rank 3", "rank is 3, an option of the cp cell"),
    ("train --cell cp --rank -1", "rank is -1: expected at least 0"),
    ("train -c slidng", "did you mean 'sliding'"),
    ("train -a rellu", "did you mean 'relu'"),
    ("train -m modd", "did you mean 'mod'"),
    ("train --cell grru", "did you mean 'gru'"),
    ("train --precision fp16", "fp32"),
    ("train --epochs many", "invalid int value: 'many'"),
    ("train --epochs 0", "epochs is 0: expected at least 1"),
    ("train --num_neurons 0", "num_neurons is 0: expected at least 1"),
    ("train --max_N 1", "max N is 1: expected at least"),
    ("train --ns_init 1", "ns_init is 1: expected at least 2"),
    ("train --p 3", "nearest valid value: 1.0"),
    ("train --lr -1", "lr is -1.0: expected a number above 0"),
    ("train --time_limit soon", "duration"),
    ("train --save_every -1", "save_every is -1.0: expected at least 0"),
    ("train --resume runs/R_parity_network_2", "did you mean 'runs/R_parity_network_1'"),
    (f"train --resume {RUN} --lr 3", "lr cannot change in a resumed run"),
    ("sweep nowhere.toml", "nowhere.toml"),
    ("sweep misspelt.toml", "learning_rate"),
    ("sweep wrong.toml", "lr is -0.1: expected a number above 0"),
    ("evaluate nowhere/rnn_N2_N2", "no checkpoint at"),
    (f"evaluate {RUN}/rnn_N2_N3", "did you mean 'rnn_N2_N2'"),
    (f"evaluate {RUN} --Ns few", "list of whole numbers"),
    (f"evaluate {RUN} --p 2", "p is 2.0"),
    (f"evaluate {RUN} --task pariti", "did you mean 'parity'"),
    (f"evaluate {RUN} --heads al", "did you mean 'all'"),
    ("analyze timescale runs", "did you mean 'timescales'"),
    (f"analyze timescales,balanc {RUN}", "did you mean 'balance'"),
    (f"analyze timescales dimensionalty {RUN}", "did you mean 'dimensionality'"),
    (f"analyze timescales balance,lyapunow {RUN}", "did you mean 'lyapunov'"),
    ("analyze timescales balance", "without a path"),
    ("analyze timescales nowhere", "a run folder"),
    (f"analyze timescales {RUN} --jobs 0", "jobs is 0: expected at least 1"),
    (f"analyze timescales {RUN} --forc", "did you mean '--force'"),
    ("report nowhere", "expected a run folder"),
    (f"report {RUN} -o foreign.html", "is not a report of tauscope"),
    (f"compare {RUN}", "expected two or more to compare"),
    ("status nowhere", "does not exist"),
    ("reproduce emergent-timescale", "did you mean 'emergent-timescales'"),
    ("reproduce balanced-networks --scale quik", "did you mean 'quick'"),
    ("reproduce balanced-networks --networks 0", "networks is 0: expected at least 1"),
    ("reproduce balanced-networks --jobs 0", "jobs is 0: expected at least 1"),
    ("reproduce emergent-timescales --task dsm", "did you mean 'dms'"),
    ("reproduce emergent-timescales --cell grru", "did you mean 'gru'"),
    ("reproduce recurrent-memory -b foreign.html/base", "is a file: expected a folder"),
]


def test_a_refused_line_imports_nothing_heavy_and_says_what_was_meant(base: Path) -> None:
    for (line, code, imported, error), (_, said) in zip(
        told([line.split() for line, _ in REFUSED], base), REFUSED, strict=True
    ):
        assert (code, imported) == (2, []), (line, error)
        assert error.startswith("tauscope: error: "), line
        assert said in error, line


def test_what_is_done_does_import_them(base: Path) -> None:
    """The test sees what it looks for."""
    ((_, code, imported, _),) = told([["analyze", "connectivity", RUN]], base)
    assert code == 0
    assert {"torch", "pandas", "xarray", "matplotlib"} <= set(imported)
