"""Every flag of the published code with its default, converters, and errors in one line that name what is near."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tauscope as ts
from tauscope.cli import flags, main, train
from tauscope.cli.flags import Parser
from tauscope.runs.config import Config, kind_of, task_names
from tauscope.tasks import POPULATION_TASKS, TASKS

KINDS = tuple(dict.fromkeys(map(kind_of, task_names())))

MemoryConfig = kind_of("de1")
TrackingConfig = kind_of("tracking")
TrainConfig = kind_of("parity")

# Section 2 of the published code's interface: short form, long form, destination, default.
PUBLISHED: list[tuple[str, str, Any]] = [
    ("-b", "base_path", Path("trained_models")),
    ("-m", "model_type", "default"),
    ("-a", "afunc", "leakyrelu"),
    ("-nn", "num_neurons", 500),
    ("-ni", "ns_init", 2),
    ("-c", "curriculum_type", "cumulative"),
    ("-n", "network_number", 1),
    ("-t", "task", "parity"),
    ("-T", "tau", None),
    ("-ih", "init_heads", 1),
    ("-dh", "add_heads", 1),
    ("-fh", "forget_heads", 1),
    ("-s", "seed", None),
]
VALUES: dict[str, tuple[str, Any]] = {
    "model_type": ("mod", "mod"),
    "afunc": ("tanh", "tanh"),
    "curriculum_type": ("sliding", "sliding"),
    "task": ("dms", "dms"),
    "tau": ("2.5", 2.5),
    "base_path": ("x/y", Path("x/y")),
}


def parser(*arguments: str) -> Parser:
    made = Parser(prog="tauscope train")
    made.arguments = arguments
    train.add(made)
    return made


def listed(*arguments: str) -> set[str]:
    """Return the long flags of options that ``tauscope train ARGUMENTS --help`` lists."""
    flags_listed = re.findall(r"--([A-Za-z][\w-]*)", parser(*arguments).format_help())
    return {flag for flag in flags_listed if "-" not in flag}


@pytest.mark.parametrize(("short", "name", "default"), PUBLISHED)
def test_the_published_flags_are_there_short_and_long(short: str, name: str, default: Any) -> None:
    text, value = VALUES.get(name, ("3", 3))
    for flag in (short, f"--{name}", f"--{name.replace('_', '-')}"):
        assert getattr(parser().parse_all([flag, text]), name) == value
    nothing = parser().parse_all([])
    if name == "base_path":
        assert nothing.base_path == default
    else:
        assert not hasattr(nothing, name)
        assert getattr(TrainConfig(), name) == default


@pytest.mark.parametrize(("task", "kind"), [("dms", TrainConfig), ("2afc", MemoryConfig), ("tracking", TrackingConfig)])
def test_help_on_a_task_lists_its_options_and_no_others(task: str, kind: type[Config]) -> None:
    actions = {flag: action for action in parser("--task", task)._actions for flag in action.option_strings}
    own = {option.name for option in fields(kind)}
    for option in fields(kind):
        for flag in (f"--{option.name}", f"--{option.name.replace('_', '-')}"):
            assert actions[flag].dest == option.name
            assert option.metadata["help"] in str(actions[flag].help)
    others = {option.name for other in KINDS for option in fields(other)} - own
    assert others
    # A flag of another task is known, so that it is refused by what it belongs to.
    assert {actions[f"--{name}"].help for name in others} == {argparse.SUPPRESS}
    assert own <= listed("--task", task)
    assert not others & listed("--task", task)
    assert listed(f"-t{task}") == listed(f"--task={task}") == listed("--task", task)


def test_help_lists_every_task_with_a_line_and_the_options_that_all_have() -> None:
    text = parser().format_help()
    for name in (*TASKS, *POPULATION_TASKS, "tracking"):
        assert re.search(rf"^  {name} +\w.{{20,}}", text, flags=re.MULTILINE), name
    shared = set.intersection(*({option.name for option in fields(kind)} for kind in KINDS))
    every = set.union(*({option.name for option in fields(kind)} for kind in KINDS))
    assert {"task", "cell", "epochs", "seed"} <= shared
    assert shared <= listed()
    assert not (every - shared) & listed()
    assert {"base_path", "resume", "time_limit"} <= listed()


def test_a_whole_command_line_becomes_a_configuration() -> None:
    line = (
        "-c sliding -t dms -n 4 -s 7 -ni 3 -ih 10 -fh 5 --max-N 40 --p 0.25 --plus-minus yes -m continuous -a tanh "
        "-nn 64 -dup 7,8 --epochs 3 --steps-per-epoch 9 --batch_size 16 --optimizer adam --lr 1e-2 --clip 1 -b base"
    )
    folder, config = train.configuration(parser().parse_all(line.split()))
    assert folder == Path("base/sliding_10_5_dms_size_64_duplicates[7, 8]_mod_tanh_network_4")
    assert config == TrainConfig(
        curriculum_type="sliding", task="dms", network_number=4, seed=7, ns_init=3, init_heads=10, forget_heads=5,
        max_N=40, p=0.25, plus_minus=True, model_type="continuous", afunc="tanh", num_neurons=64, duplicates=(7, 8),
        epochs=3, steps_per_epoch=9, batch_size=16, optimizer="adam", lr=0.01, clip=1.0,
    )  # fmt: skip


def test_gru_and_lstm_are_shorthands() -> None:
    assert [parser().parse_all([flag]).cell for flag in ("--gru", "--lstm")] == ["gru", "lstm"]


@settings(deadline=None)
@given(st.sampled_from([flag for action in parser()._actions for flag in action.option_strings if len(flag) > 4]))
def test_an_unknown_flag_is_answered_with_the_nearest_one(flag: str) -> None:
    wrong = flag[:-1] + "q"
    with pytest.raises(ts.InputError, match=f"unknown argument '{wrong}': did you mean '--"):
        parser().parse_all([wrong])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--curriculum-typ", "single"], "unknown argument '--curriculum-typ': did you mean '--curriculum-type'?"),
        (["--num_neuron=5"], "unknown argument '--num_neuron=5': did you mean '--num_neurons'?"),
        (["--zzz"], "unknown argument '--zzz': expected one that tauscope train --help lists"),
        (["zzz"], "unknown argument 'zzz': expected one that tauscope train --help lists"),
        (["-nn", "many"], "invalid int value: 'many'"),
        (["--lr", "fast"], "invalid float value: 'fast'"),
        (["--plus-minus", "maybe"], "invalid yes or no value: 'maybe'"),
        (["-dup", "7;8"], "invalid list of whole numbers, such as 7,8,9,10 value: '7;8'"),
        (["--time-limit", "soon"], "invalid duration, such as 90s, 30m or 2h value: 'soon'"),
        (["-s"], "expected one argument"),
    ],
)
def test_a_wrong_argument_is_named(arguments: list[str], message: str) -> None:
    with pytest.raises(ts.InputError) as error:
        parser().parse_all(arguments)
    assert message in str(error.value)


@pytest.mark.parametrize("command", [[], ["train"], ["evaluate"], ["status"]])
def test_help_is_printed(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*command, "--help"])
    assert end.value.code == 0
    assert f"usage: {' '.join(['tauscope', *command])}" in capsys.readouterr().out


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, f"tauscope {ts.__version__}\n")


# --- converters -------------------------------------------------------------------------------------------------------


def refuses(convert: Callable[[str], Any], text: str) -> bool:
    """Return whether a converter refuses a text in the way that argparse understands."""
    try:
        convert(text)
    except ValueError:
        return True
    return False


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_lists_of_integers_come_back(numbers: list[int]) -> None:
    expected = tuple(numbers)
    assert flags.integers(",".join(map(str, numbers))) == flags.integers(str(numbers)) == expected


@given(st.integers(0, 999), st.integers(0, 999))
def test_ranges_include_both_ends(first: int, last: int) -> None:
    text = f"{first}-{last}"
    if last < first:
        assert refuses(flags.integers, text)
    else:
        assert flags.integers(text) == tuple(range(first, last + 1))


@pytest.mark.parametrize("text", ["", "a", "1,", "1.5", "1-", "-", "1-2-3", "1;2"])
def test_what_is_no_list_of_integers_is_refused(text: str) -> None:
    assert refuses(flags.integers, text)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("2h", 7200), ("0.5h", 1800), (" 1m ", 60), ("0", 0)]
)
def test_durations_are_in_seconds(text: str, seconds: float) -> None:
    assert flags.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-5", "1d", "1h30m", "nan", "inf", "1e3"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    assert refuses(flags.duration, text)


def test_yes_and_no() -> None:
    assert [flags.yes_or_no(text) for text in ("yes", "TRUE", "1", "no", "False", "0")] == [True] * 3 + [False] * 3


@pytest.mark.parametrize("text", ["-1", str(2**63), "x", "1.0"])
def test_a_seed_that_no_generator_takes_is_refused(text: str) -> None:
    assert refuses(flags.seed, text)


def test_seeds_up_to_the_largest_are_taken() -> None:
    assert [flags.seed(str(one)) for one in (0, 2**63 - 1)] == [0, 2**63 - 1]


def test_devices() -> None:
    assert flags.device("cpu") == "cpu"
    assert flags.device("auto") in ("cpu", "cuda")


@pytest.mark.parametrize("name", ["warp", "cpu:x", "", "cuda:99", "meta"])
def test_a_device_that_cannot_compute_here_is_refused(name: str) -> None:
    with pytest.raises(ts.InputError, match=f"device '{name}' cannot be used here: expected auto, cpu, or a device"):
        flags.device(name)


def test_an_argument_that_is_no_text_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reproduce", "--output", "\udcff"]) == 2
    error = capsys.readouterr().err
    assert error == "tauscope: error: '\\udcff' is not text: expected names in UTF-8\n"
