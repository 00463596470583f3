"""What it costs to measure one network, by this package and by the published scripts.

Every run has a process of its own, so that its peak of memory is its own: ``python -m benchmarks.measuring ROW THREADS
[DIR]`` prints one, as JSON.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import math
import pickle
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.table import Table

import tauscope as ts
from benchmarks import memory
from tauscope.analysis import ablation, timescales
from tauscope.analysis.exponential_fits import fit_exponentials

ROOT = Path(__file__).resolve().parents[1]
N = 11
NETWORK = ROOT / "trained_models" / "cumulative_parity_network_1" / f"rnn_N2_N{N}"
SCRIPT = Path("analysis") / "timescales" / "timescales_utils.py"
TRIALS, STEPS, BURN_IN, LAGS, FIT_LAGS, SPLIT = 10, 100_500, 500, 200, 30, 10
# Functions of the published script, and what they do.
_PUBLISHED_PARTS = {"make_binary_data": "simulation", "comp_ac_fft": "autocorrelations", "model_comp": "fits"}


@dataclass(frozen=True)
class Cost:
    """What one run took.

    Attributes
    ----------
    seconds : float
        Time of the measurement, without starting Python, importing and (ours) loading the network.
    parts : dict of float
        Seconds of parts of it.
    tau_net : float
        Mean of the τ_net above 1, in steps; NaN if it was not measured.
    peak : float
        Largest resident size of the process in bytes, libraries included; NaN where the system does not tell.
    """

    seconds: float
    parts: dict[str, float] = field(default_factory=dict)
    tau_net: float = math.nan
    peak: float = field(default_factory=lambda: memory.peak() if memory.STATUS.exists() else math.nan)


def whole(n_steps: int = STEPS) -> Cost:
    """Measure the timescales of the network by the published method, with every trial split into segments."""
    model = ts.load(NETWORK)
    start = time.perf_counter()
    result = timescales(
        model, method="published", n_trials=TRIALS, n_steps=n_steps, burn_in=BURN_IN, max_lag=LAGS, fit_lags=FIT_LAGS,
        split=SPLIT,
    )  # fmt: skip
    end = time.perf_counter()
    fit_exponentials(result.autocorrelation.values[:, : FIT_LAGS + 1])
    return Cost(end - start, {"fits": time.perf_counter() - end}, _mean_above_1(result.tau_net.values))


def sweep() -> Cost:
    """Ablate the 20 slowest and the 20 fastest units of the network, one at a time."""
    model = ts.load(NETWORK)
    start = time.perf_counter()
    ablation(model, ts.Parity([N]), N, groups=("slowest", "fastest"), n=20)
    return Cost(time.perf_counter() - start)


def published(folder: Path) -> Cost:
    """Measure the timescales of the same network by the published script.

    Parameters
    ----------
    folder : Path
        Checkout of LevinaLab/rnn_timescale_public, imported as it is; only the device that it picks by itself is set,
        its progress bar is left out, and what it saves goes to a temporary folder.

    Returns
    -------
    Cost
        With the seconds of simulation, autocorrelations and fits.
    """
    bar = types.ModuleType("tqdm")
    bar.tqdm = iter  # type: ignore[attr-defined]
    sys.modules["tqdm"] = bar
    sys.path[:0] = [str(folder), str((folder / SCRIPT).parent)]
    script, network = importlib.import_module(SCRIPT.stem), importlib.import_module("src.models.RNN_Stack")
    script.device = network.device = torch.device("cpu")  # type: ignore[attr-defined]
    parts = dict.fromkeys(_PUBLISHED_PARTS.values(), 0.0)
    for name, part in _PUBLISHED_PARTS.items():
        setattr(script, name, _timed(getattr(script, name), part, parts))
    curriculum, task, _, number = NETWORK.parent.name.split("_")
    with tempfile.TemporaryDirectory() as saved, contextlib.redirect_stdout(io.StringIO()):
        start = time.perf_counter()
        script.comp_acs(
            "cpu", str(NETWORK.parents[1]), f"{saved}/", curriculum, task, int(number), [N],
            STEPS + BURN_IN, 500, TRIALS, LAGS, FIT_LAGS, BURN_IN,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        # Not a file from elsewhere: the script has just written it.
        tau_net = pickle.loads(next(Path(saved).iterdir()).read_bytes())["taus_net"]
    return Cost(seconds, parts, _mean_above_1(tau_net))


ROWS: dict[str, Callable[..., Cost]] = {
    "whole": whole,
    "tenth": partial(whole, STEPS // 10),
    "ablation": sweep,
    "published": published,
}


def costs(rounds: int, threads: int, folder: Path | None) -> dict[str, list[Cost]]:
    """Run every row, interleaved, each time in a fresh process.

    Parameters
    ----------
    rounds : int
        Runs of each of our rows.
    threads : int
        Processor threads of every run.
    folder : Path, optional
        Checkout of the published code. Its row takes minutes and is run once, between ours.

    Returns
    -------
    dict of list of Cost
        The runs of every row.
    """
    found: dict[str, list[Cost]] = {row: [] for row in ROWS if row != "published"}
    for turn in range(rounds):
        for row, runs in found.items():
            if row != "published":
                runs.append(_run(row, threads))
        if folder is not None and turn == rounds // 2:
            found["published"] = [_run("published", threads, folder)]
    return found


def table(found: dict[str, list[Cost]]) -> Table:
    """Return the table: medians over runs, and the largest peak; "!" marks what misses its target."""
    result = Table(box=None, padding=(0, 2, 0, 0))
    result.add_column("measuring a network of 500 units", no_wrap=True)
    for heading in ("seconds", "spread", "peak, MB", "mean τ_net > 1", "target"):
        result.add_column(heading, justify="right", no_wrap=True)
    ours, theirs = found["whole"], found.get("published")
    _add(result, f"tauscope, {TRIALS} trials × {STEPS + BURN_IN} steps", ours, 9, 1e9)
    _add_part(result, "fits", ours, 0.3)
    _add(result, "the same with a tenth of the steps", found["tenth"])
    _add(result, f"ablations, 40 units × {TRIALS} trials × 1100 steps", found["ablation"])
    if theirs:
        _add(result, "published script, one run", theirs)
        for part in theirs[0].parts:
            _add_part(result, part, theirs)
        ratio = _seconds(theirs) / _seconds(ours)
        saved = f"{_peak(theirs) / _peak(ours):.1f}"
        result.add_row("published / tauscope", _marked(f"{ratio:.1f}", ratio < 25), "", saved, "", "25")
    return result


def lines(found: dict[str, list[Cost]]) -> list[dict[str, Any]]:
    """Return what a CSV file holds of every row."""
    return [
        {
            "row": f"measuring: {row}",
            "N": N,
            "milliseconds": 1e3 * _seconds(runs),
            "rounds": len(runs),
            "peak_megabytes": _peak(runs) / 1e6,
        }
        for row, runs in found.items()
    ]


def _add(result: Table, label: str, runs: list[Cost], seconds: float = math.inf, peak: float = math.inf) -> None:
    times = [one.seconds for one in runs]
    result.add_row(
        label,
        _marked(f"{_seconds(runs):.2f}", _seconds(runs) > seconds),
        f"{min(times):.2f} … {max(times):.2f}" if len(times) > 1 else "",
        _marked(f"{_peak(runs) / 1e6:.0f}", _peak(runs) > peak),
        "" if math.isnan(runs[0].tau_net) else f"{runs[0].tau_net:.2f}",
        "" if math.isinf(seconds) else f"{seconds:g} s, {peak / 1e6:.0f} MB",
    )


def _add_part(result: Table, part: str, runs: list[Cost], target: float = math.inf) -> None:
    seconds = median(one.parts[part] for one in runs)
    asked = "" if math.isinf(target) else f"{target:g} s"
    result.add_row(f"  {part}", _marked(f"{seconds:.2f}", seconds > target), "", "", "", asked)


def _marked(text: str, missed: bool) -> str:
    return f"! {text}" if missed else text


def _seconds(runs: list[Cost]) -> float:
    return median(one.seconds for one in runs)


def _peak(runs: list[Cost]) -> float:
    return max(one.peak for one in runs)


def _mean_above_1(tau_net: np.ndarray) -> float:
    return float(tau_net[tau_net > 1].mean())


def _timed(work: Callable[..., Any], part: str, spent: dict[str, float]) -> Callable[..., Any]:
    def timed(*args: Any) -> Any:
        start = time.perf_counter()
        result = work(*args)
        spent[part] += time.perf_counter() - start
        return result

    return timed


def _run(row: str, threads: int, *folder: Path) -> Cost:
    # -B: nothing is written into a checkout that is only read.
    command = [sys.executable, "-B", "-m", "benchmarks.measuring", row, str(threads)]
    command += [str(one.resolve()) for one in folder]
    child = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return Cost(**json.loads(child.stdout))


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    print(json.dumps(asdict(ROWS[sys.argv[1]](*map(Path, sys.argv[3:])))))
