"""Random command lines, configurations and sweep files: each is accepted, or refused in one line."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import itertools
import json
import os
import re
import resource
import traceback
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

import tauscope as ts
from faults.tally import Tally
from tauscope.cli import COMMANDS, main
from tauscope.cli.flags import Parser
from tauscope.errors import InputError
from tauscope.runs import published
from tauscope.runs.checkpoints import save_weights
from tauscope.runs.config import SETUPS, config_of, kind_of
from tauscope.tasks import POPULATION_TASKS, TASKS

KINDS = tuple(dict.fromkeys(map(kind_of, SETUPS)))

TrainConfig = kind_of("parity")

ACCEPTED, REFUSED = "accepted", "refused"

STUBS = {
    "train": ("tauscope.cli.train.Run",),
    "sweep": ("tauscope.cli.sweep.run_sweep", "tauscope.cli.slurm_flags.submit"),
    "evaluate": ("tauscope.analysis.accuracy.evaluate",),
    "analyze": ("tauscope.measurements.keeping.measure",),
    "report": ("tauscope.report.report_page",),
    "compare": ("tauscope.report.comparison_page",),
    "reproduce": ("tauscope.papers.reproduce.running.run_plan",),
    "status": (),
}
"""What every command does after it has looked at all that it was given."""

_MEMORY = 3 << 30


class AcceptedError(BaseException):
    """A command came as far as its work; nothing catches this."""


def _accept(*_: object, **__: object) -> NoReturn:
    raise AcceptedError


# --- what is drawn ----------------------------------------------------------------------------------------------------

_NUMBERS = [-1, 0, 1, 2, 3, 5, 9, 100, 101, 10**4, 10**6, 10**9, 10**12, 2**63 - 1, 2**63, 10**30, -(2**63), 10**400]
_FLOATS = [0.0, -0.0, 0.5, 1.0, 1.5, 2.0, -1.0, 1e-300, 1e300, float("nan"), float("inf"), -float("inf")]
_TEXTS = [
    "", " ", "nan", "inf", "1e5", "-", "--", "=", "0x10", "1_000", "½", "٣", "²", "7,8", "[7, 8]", "1-3", "3-1", "1-999999",
    "yes", "no", "None", "leaky", "gru", "os:system", ":", "a:b:c", ":x", ".:x", "problems:LinearCell", "30m", "1h30",
    "\n", "a\nb", "\x1b[31m", "\udcff", "🜁", "[red]", "[/]", "{x}", "%s", "x" * 300, "9" * 5000, "../..", "cpu", "meta",
]  # fmt: skip
_WORDS = sorted({*TASKS, *POPULATION_TASKS, "cumulative", "single", "sliding", "continuous", "mod", "tanh", "every"})

numbers = st.one_of(st.sampled_from(_NUMBERS), st.integers(-5, 200), st.integers())
floats = st.one_of(st.sampled_from(_FLOATS), st.floats())
# What no command line can hold are zeros; what a path may begin with here is not the root of all files.
texts = st.one_of(
    st.sampled_from(_TEXTS), st.sampled_from(_WORDS), st.text(st.characters(exclude_characters="\0/"), max_size=12)
)
words = st.one_of(texts, numbers.map(lambda n: str(n) if abs(n) < 10**40 else "9" * 50), floats.map(str))


@functools.cache
def _named(name: str) -> st.SearchStrategy[Any]:
    """Return values of an option: mostly those of its kind, of its choices, and at times others."""
    own = [one for kind in KINDS for one in fields(kind) if one.name == name]
    known = [*(choice for one in own for choice in one.metadata["choices"] or ()), *(one.default for one in own), 1]
    kinds = " ".join(str(one.type) for one in own)
    fitting = [
        st.sampled_from(known),
        *([st.integers(1, 12)] if "int" in kinds else []),
        *([st.floats(0, 1)] if "float" in kinds else []),
        *([st.lists(st.integers(1, 12), min_size=1, max_size=3)] if "tuple" in kinds else []),
        *([st.booleans()] if "bool" in kinds else []),
    ]
    others = (numbers, floats, texts, st.booleans(), st.none(), json_values)
    return st.integers(0, 9).flatmap(lambda n: st.one_of(fitting) if n else st.one_of(others))


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, floats, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=2)),
    max_leaves=6,
)

_OPTIONS = sorted({one.name for kind in KINDS for one in fields(kind)})


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """Draw options by name, few or many, of one kind of run or of several, some of them unknown."""
    kind = draw(st.sampled_from(KINDS))
    pool = draw(st.sampled_from([[one.name for one in fields(kind)], _OPTIONS, [*_OPTIONS, "nonsense", ""]]))
    chosen = draw(st.lists(st.sampled_from(pool), unique=True, max_size=6))
    task = draw(st.one_of(st.just(fields(kind)[0].default), st.sampled_from(_WORDS), st.none()))
    options = (
        {}
        if kind is TrainConfig or task is None
        else {"task": next(o.default for o in fields(kind) if o.name == "task")}
    )
    return options | {name: draw(_named(name)) for name in chosen}


@st.composite
def command_lines(draw: st.DrawFn, base: str) -> list[str]:
    """Draw a command with some of its flags, values that fit and values that do not, and what is no flag at all."""
    command = draw(st.sampled_from([*STUBS, *STUBS, "train", "train", "trian", "", "--version", "-h"]))
    known = _flags(command)
    line: list[str] = [command]
    paths = st.sampled_from([one.format(base=base) for one in _PATHS])
    for _ in range(draw(st.integers(0, 4))):
        if known and draw(st.integers(0, 9)):
            name, choices, is_path = draw(st.sampled_from(known))
            fitting = [st.sampled_from(list(choices))] * 3 if choices else [st.integers(1, 9).map(str)] * 2
            value = draw(paths if is_path else st.one_of(*fitting, words))
            joined = draw(st.integers(0, 4)) == 0
            line += [f"{name}={value}"] if joined else [name] if draw(st.integers(0, 14)) == 0 else [name, value]
        else:
            line.append(draw(st.one_of(words, st.sampled_from(["--help", "--bas", "-zz", "--"]))))
    n_paths = {"train": 0, "compare": 2}.get(command, 1)
    given = draw(st.integers(0, 9))
    positional = [draw(paths) for _ in range(n_paths if given else n_paths + 1)]
    if command == "analyze":
        positional = [draw(st.sampled_from(["connectivity", "all", "timescales", "connectivit"])), *positional[:1]]
    if command == "reproduce":
        positional = [
            draw(st.sampled_from(["tiny_paper:PAPER", "tiny_paper:BROKEN", "os:path", "nowhere:x", "x", ":"]))
        ]
        line += draw(
            st.sampled_from([[], ["--scale", "smoke"], ["--scale", "quick"], ["--cell", "gru"], ["-t", "dms"]])
        )
    return [line[0], *positional, *line[1:]] if draw(st.booleans()) else [*line, *positional]


_PATHS = ["{base}/cumulative_parity_size_3_network_1", "{base}/cumulative_parity_size_3_network_1/rnn_N2_N3",
          "{base}/published_parity_network_1", "{base}/sweep.toml", "{base}", "{base}/nowhere", "{base}/empty", "nowhere",
          "", ".", "/dev/null", "/dev/zero", "/proc/self/mem", "\udcff", "{base}/\udcff", "x" * 300, "[red]", "a\nb"]  # fmt: skip


@functools.cache
def _flags(command: str) -> list[tuple[str, tuple[str, ...], bool]]:
    """Return the flags of a command with the values they can have, and whether those are paths."""
    if command not in COMMANDS:
        return []
    parser = Parser(prog=command)
    importlib.import_module(f"tauscope.cli.{command}").add(parser)
    found = []
    for action in parser._actions:
        choices = tuple(map(str, action.choices or ()))
        if not choices and isinstance(action.metavar, str) and action.metavar.startswith("{"):
            choices = tuple(action.metavar.strip("{}").split(","))
        found += [(name, choices, action.type is Path) for name in action.option_strings if action.dest != "watch"]
    return found


@st.composite
def sweep_files(draw: st.DrawFn) -> str:
    """Draw a sweep file: tables of options, mostly of their kinds, or of anything, or no TOML."""
    options = configurations().map(lambda one: {key: value for key, value in one.items() if key})
    tables: dict[str, Any] = {
        "base_path": draw(st.sampled_from(["runs", "runs", "", 5])),
        "options": draw(st.one_of(options, st.just({}), json_values)),
        "grid": draw(
            st.dictionaries(
                st.sampled_from(_OPTIONS), st.one_of(st.lists(numbers, max_size=3), json_values), max_size=2
            )
        ),
        "runs": draw(st.one_of(st.lists(options, max_size=2), st.just([]), json_values)),
        "networks": draw(
            st.one_of(st.just({}), st.fixed_dictionaries({"seeds": st.lists(numbers, max_size=3)}), json_values)
        ),
    }
    chosen = draw(st.lists(st.sampled_from([*tables, "nonsense"]), unique=True, max_size=5))
    text = "".join(f"{name} = {_toml(tables.get(name, 1))}\n" for name in chosen)
    if draw(st.integers(0, 5)) == 0:
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(texts) + text[place:]
    return text


def _toml(value: Any) -> str:
    """Return a value in TOML's own way; nothing stands for what TOML does not have."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value) if abs(value) < 10**300 else "9" * 300
    return repr(value) if isinstance(value, float) else json.dumps(str(value))


# --- what comes of it -------------------------------------------------------------------------------------------------


def make_folders(base: Path) -> None:
    """Make the runs that command lines may name."""
    weights = published.to_published(ts.LeakyRNN(3, generator=torch.Generator().manual_seed(0)))
    for name in ("cumulative_parity_size_3_network_1", "published_parity_network_1"):
        (base / name).mkdir(parents=True)
        save_weights(base / name / "rnn_N2_N3", weights)
    config = TrainConfig(num_neurons=3, seed=0)
    (base / config.name / "config.json").write_text(json.dumps(config.to_dict()))
    (base / "empty").mkdir()
    (base / "sweep.toml").write_text("[options]\nnum_neurons = 3\n")


@contextlib.contextmanager
def bounded_memory() -> Iterator[None]:
    """Let this process take a few gigabytes more and not all memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + _MEMORY, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextlib.contextmanager
def harness(base: Path) -> Iterator[None]:
    """Run commands in this process up to their work, within bounds of memory, in a folder of their own."""
    here = Path.cwd()
    (base / "here" / "inside").mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        for name in itertools.chain.from_iterable(STUBS.values()):
            stack.enter_context(mock.patch(name, _accept))
        stack.enter_context(bounded_memory())
        os.chdir(base / "here" / "inside")
        try:
            yield
        finally:
            os.chdir(here)


def command_verdict(line: list[str]) -> str:
    """Return whether a command line is accepted or refused, or what is wrong with how it ended."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
    threads = torch.get_num_threads()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(list(line))
    except AcceptedError:
        return ACCEPTED
    except SystemExit as end:
        return ACCEPTED if end.code == 0 else f"SystemExit {end.code}"
    except BaseException as error:
        return _where(error)
    finally:
        torch.set_num_threads(threads)
    err.seek(0)
    said = err.read()
    if code == 0 and not said:
        return ACCEPTED
    if code == 2 and is_refusal(said, line) and not re.search("[\x00-\x08\x0b-\x1f\x7f]", said):
        return REFUSED
    return f"exit code {code}: {said!r}"


def is_refusal(said: str, line: list[str]) -> bool:
    """Return whether a command says in one line why it does nothing; ``analyze`` says so of each wrong path."""
    reasons = said.splitlines()
    if not reasons or not said.endswith("\n") or not all(one.startswith("tauscope: error: ") for one in reasons):
        return False
    if len(reasons) == 1 or line[0] != "analyze":
        return len(reasons) == 1
    # What is said of a path names it, so that no path has two lines.
    named = [max((word for word in line[1:] if word in reason), key=len, default="") for reason in reasons]
    return all(named) and len(set(named)) == len(reasons)


def configuration_verdict(options: dict[str, Any]) -> str:
    """Return whether options are accepted or refused, or what is wrong; what is accepted comes back from its file."""
    try:
        config = config_of(options)
        again = config_of(json.loads(json.dumps(config.to_dict())))
        if again != config or not isinstance(config.name, str):
            return f"comes back as {again}"
        config.curriculum(), config.template(), config.recipe(), config.identity()
    except InputError as error:
        return REFUSED if str(error).strip() else "an empty line"
    except BaseException as error:
        return _where(error)
    return ACCEPTED


def _where(error: BaseException) -> str:
    """Return an error with the place in tauscope where it arose."""
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "tauscope" in one.filename]
    place = f"{Path(frames[-1].filename).name} {frames[-1].lineno}" if frames else "outside"
    return f"{type(error).__name__} in {place}: {str(error)[:150]}"


def sweep_verdict(file: Path, text: str) -> str:
    """Return whether a sweep file is accepted or refused, or what is wrong."""
    file.write_bytes(text.encode(errors="surrogatepass"))
    return command_verdict(["sweep", str(file), "--dry-run"])


def explore(base: Path, kind: str, n: int, first: int) -> Tally:
    """Draw so many inputs of a kind and judge what comes of each."""
    file = base / "drawn.toml"
    fault, strategy, verdict = {
        "lines": ("random command lines", command_lines(str(base)), command_verdict),
        "configurations": ("random configurations", configurations(), configuration_verdict),
        "sweeps": ("random sweep files", sweep_files(), functools.partial(sweep_verdict, file)),
    }[kind]
    tally = Tally(fault, "accepted, or refused with exit code 2 and one line", counts={ACCEPTED: 0, REFUSED: 0})

    @seed(first)
    @settings(
        max_examples=n, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def look(drawn: Any) -> None:
        came = verdict(drawn)
        tally.count(came if came in (ACCEPTED, REFUSED) else "failed")
        tally.judge(came in (ACCEPTED, REFUSED), f"{drawn!r}: {came}")

    with harness(base):
        look()
    return tally
