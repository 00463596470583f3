"""Runs of any setup: options from its parts, folder names, configurations, networks, curricula that go on."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import Tensor

from tauscope.cli import flags
from tauscope.errors import InputError
from tauscope.learning.curricula import Criterion, Curriculum, ladder
from tauscope.learning.recipe import Recipe
from tauscope.learning.state import Training
from tauscope.learning.training import train
from tauscope.models import LeakyCell
from tauscope.runs.asking import asked_for, read_config
from tauscope.runs.checkpoints import load_weights
from tauscope.runs.config import SETUPS, Config, allow, config_of, kind_of, own, task_names
from tauscope.runs.config.base import option, options_of
from tauscope.runs.config.kinds import RESERVED, kind_of_setup
from tauscope.runs.config.setup import Network, Setup, curriculum_from
from tauscope.runs.folder import read_metrics
from tauscope.runs.loading import load, trained_task
from tauscope.runs.run import Run
from tauscope.tasks import OUT, Batch, Head, Stage, Task

KINDS = tuple(dict.fromkeys(map(kind_of, task_names())))


@dataclass(frozen=True)
class Echo(Task):
    """Say the vector that was shown, at each of the steps that follow it.

    Attributes
    ----------
    dim : int
        Number of components, each an
        input channel and an output.
    horizon : int
        Number of steps that are asked.
    sign : {"same", "other"}
        Which sign.
    gains : tuple of float
        Strengths, of which each trial has one.
    """

    dim: int = 2
    horizon: int = 3
    sign: Literal["same", "other"] = "same"
    gains: tuple[float, ...] = (1.0,)
    code: str | tuple[int, int] = "none"
    table: dict[str, int] = field(default_factory=dict)

    source: ClassVar[str] = "a test"
    metric: ClassVar[str] = "accuracy"

    @property
    def n_inputs(self) -> int:  # type: ignore[override]
        return self.dim

    @property
    def heads(self) -> dict[str, Head]:
        return {OUT: Head(self.dim, 0.5, 1.0)}

    def sample(self, batch_size: int, generator: torch.Generator, split: str = "train") -> Batch:
        del split
        shown = torch.randint(2, (1, batch_size, self.dim), generator=generator, device=generator.device) * 2.0 - 1.0
        silence = shown.new_zeros(self.horizon, batch_size, self.dim)
        signed = shown if self.sign == "same" else -shown
        return Batch(torch.cat([shown, silence]), signed.expand(self.horizon, -1, -1).unsqueeze(2))

    def loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        return (outputs - batch.targets).square().mean(dim=(0, 1, 3))

    def tally(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        right = ((outputs >= 0) == (batch.targets > 0)).to(outputs)
        return right.sum(dim=(0, 1, 3)), torch.ones_like(right).sum(dim=(0, 1, 3))


@dataclass(frozen=True)
class Horizons:
    horizons: tuple[int, ...] = option((1, 2), "steps that are asked, stage by stage")

    def build(self, task: Task) -> Curriculum:
        del task
        return Curriculum(ladder("horizon", self.horizons), Criterion("accuracy", 0.6, goes_on=True))


ECHO = Setup(
    Echo(dim=3),
    network=Network(afunc="tanh", tau=1.0, bias=False, diagonal=True, start=0.0, head_bias=False, num_neurons=6),
    teaching=Horizons(),
    recipe=Recipe(epochs=4, steps_per_epoch=30, batch_size=16, test_steps=2, optimizer="adam", lr=0.01, clip=math.inf),
    taught=("horizon",),
)


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> type[Config]:
    """The kind of run of a setup that is known as the task ``echo``."""
    monkeypatch.setitem(SETUPS, "echo", f"{__name__}:ECHO")
    return kind_of("echo")  # type: ignore[return-value]


def test_options_are_those_of_every_run_and_of_the_parts_with_the_setups_defaults(kind: type[Config]) -> None:
    found = {one.name: one.default for one in fields(kind)}
    assert found.items() >= {"task": "echo", "dim": 3, "sign": "same", "gains": (1.0,), "horizons": (1, 2)}.items()
    assert found.items() >= {"cell": "leaky", "num_neurons": 6, "afunc": "tanh", "bias": False, "epochs": 4}.items()
    # What stages set is no option, nor what a flag cannot give.
    assert not {"horizon", "table"} & set(found)
    assert kind().setup is ECHO


def test_help_is_that_of_the_field_or_of_the_docstring() -> None:
    found = options_of(Echo())
    assert found["dim"][1].metadata["help"] == "number of components, each an input channel and an output"
    assert found["sign"][0] is str
    assert found["sign"][1].metadata["choices"] == ("same", "other")
    assert options_of(Horizons())["horizons"][1].metadata["help"] == "steps that are asked, stage by stage"
    assert found["code"][1].metadata["help"] == "code"


def test_flags_give_every_type_of_option(kind: type[Config]) -> None:
    parser = flags.Parser()
    flags.add_dataclasses(parser, (kind,), kind)
    line = "--task echo --sign other --gains 0.5,2 --code 1,2 --horizons 2-4 --bias yes --tau 2 --lr 0.1 -nn 9"
    config = config_of(vars(parser.parse_all(line.split())))
    assert config.template() == Echo(3, 3, "other", (0.5, 2.0), "1,2")
    assert [stage.ask["horizon"] for stage in config.curriculum().stages] == [2, 3, 4]
    assert isinstance(config, Config)
    assert config.part("network") == Network(
        afunc="tanh", tau=2.0, bias=True, diagonal=True, start=0.0, head_bias=False, num_neurons=9
    )
    with pytest.raises(InputError, match="'othr' is unknown: expected one of same, other; did you mean 'other'"):
        config_of(vars(parser.parse_all(["--task", "echo", "--sign", "othr"])))


def test_every_flag_of_train_that_is_no_option_is_reserved() -> None:
    from tauscope.cli import train

    parser = flags.Parser()
    train.add(parser)
    options = {one.name for kind in KINDS for one in fields(kind)}
    names = {string.lstrip("-").replace("-", "_") for action in parser._actions for string in action.option_strings}
    long = {name for name in names if len(name) > 2 and name not in ("dup",)}
    assert long - options - {"model"} == set(RESERVED)


@pytest.mark.parametrize(
    ("options", "affixes"),
    [
        ({}, ""),
        ({"seed": 3, "epochs": 9}, ""),
        ({"num_neurons": 12, "lr": 0.1}, "size_12_lr_0.1_"),
        (
            {"sign": "other", "gains": (0.5, 2.0), "bias": True, "tau": None},
            "sign_other_gains_0.5-2_tau_None_bias_yes_",
        ),
        ({"code": "a/b c", "cell": "gru"}, "gru_code_a-b-c_"),
        ({"cell": "mine.cells:Own"}, "Own_"),
        ({"lr": 0.123456789}, "lr_0.123456789_"),
    ],
)
def test_the_folders_name_says_what_differs_from_the_defaults(
    kind: type[Config], options: dict[str, Any], affixes: str
) -> None:
    assert sorted(f"echo_{affixes}network_1".split("_")) == sorted(kind(**options).name.split("_"))


def test_a_long_name_is_cut_to_what_tells_it_from_others(kind: type[Config]) -> None:
    one, other = (kind(horizons=tuple(range(1, n))) for n in (100, 101))
    assert one.name != other.name
    assert len(one.name) < 50
    assert one.name == kind(horizons=tuple(range(1, 100)), seed=7).name


def test_a_configuration_is_read_back(kind: type[Config]) -> None:
    config = kind(gains=(0.5, 1.0), code=(1, 2), tau=None, seed=4)
    assert config_of(json.loads(json.dumps(config.to_dict()))) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert "epochs" not in config.identity()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"dims": 2}, "option 'dims' is unknown: expected one of .* did you mean 'dim'"),
        ({"dim": "two"}, "dim is 'two': expected a whole number"),
        ({"gains": (1, "x")}, "gains is"),
        ({"cell": "grru"}, "did you mean 'gru'"),
        ({"tau": 0.5}, "tau is 0.5: expected at least 1"),
        ({"lr": -1.0}, "lr is -1.0"),
        (
            {"curriculum_type": "cumulative"},
            "curriculum_type 'cumulative' is unknown: expected one of default, module:Name",
        ),
        ({"horizons": ()}, "expected at least one"),
    ],
)
@pytest.mark.usefixtures("kind")
def test_what_is_wrong_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        config_of({"task": "echo", **options})


def test_two_options_of_one_name_are_refused() -> None:
    @dataclass(frozen=True)
    class Clash(Echo):
        bias: bool = True

    @dataclass(frozen=True)
    class Flag(Echo):
        device: str = "cpu"

    for task, name in ((Clash(), "bias"), (Flag(), "device")):
        with pytest.raises(InputError, match=f"field {name}, which is another option"):
            kind_of_setup("clash", Setup(task))


def test_the_network_is_that_of_the_parts(kind: type[Config]) -> None:
    model = kind(seed=0).model()
    (cell,) = model.cells
    assert isinstance(cell, LeakyCell)
    assert (cell.n_inputs, cell.n_units, cell.afunc) == (3, 6, "tanh")
    assert cell.off_diagonal is None
    assert cell.recurrent.bias is None
    assert float(cell.tau[0]) == 1
    assert model.heads.names == (OUT,)
    assert model.heads.linears[0].bias is None
    # The same seed gives the same network, another another.
    same, other = kind(seed=0).model(), kind(seed=1).model()
    assert torch.equal(same.cells[0].recurrent.weight, cell.recurrent.weight)
    assert not torch.equal(other.cells[0].recurrent.weight, cell.recurrent.weight)


class TestCriterionThatGoesOn:
    """Training that goes on after the last stage is solved."""

    def test_it_ends_with_the_epochs_alone(self) -> None:
        curriculum = Curriculum(ladder("horizon", (1, 2)), Criterion(goes_on=True))
        seen = [
            (curriculum.update({"accuracy": [score]}), curriculum.stage.name) for score in (0.5, 0.99, 0.99, 0.5, 0.99)
        ]
        assert seen == [
            (False, "horizon1"),
            (True, "horizon2"),
            (True, "horizon2"),
            (False, "horizon2"),
            (True, "horizon2"),
        ]
        assert not curriculum.finished
        assert not curriculum.ends("horizon2", 5, solved=True)
        assert curriculum.criterion.keeps(solved=False)

    def test_without_it_the_last_solved_stage_is_the_end(self) -> None:
        curriculum = Curriculum(ladder("horizon", (1,)))
        curriculum.update({"accuracy": [0.99]})
        assert curriculum.finished
        assert not curriculum.criterion.keeps(solved=False)

    def test_it_needs_no_threshold(self) -> None:
        assert not Criterion("relative_error", goes_on=True).is_solved([0.0])

    def test_a_state_goes_on_where_it_was(self) -> None:
        stages, criterion = ladder("horizon", (1, 2, 3)), Criterion(goes_on=True)
        curriculum = Curriculum(stages, criterion)
        for score in (0.99, 0.99, 0.99, 0.5):
            other = Curriculum(stages, criterion)
            curriculum.update({"accuracy": [score]})
            other.load_state_dict(json.loads(json.dumps(curriculum.state_dict())))
            assert (other.position, other.epoch, other.finished) == (curriculum.position, curriculum.epoch, False)


def teach(folder: Path, config: Config, stop_after: int | None = None) -> Training:
    """Train a run, up to so many steps of this call."""
    steps = iter(range(10**6))
    with Run(folder, config) as opened:
        model, state, _ = opened.begin()
        taken = opened.config
        return train(
            model, taken.template(), taken.curriculum(), taken.recipe(), state=state, store=opened,
            stop=lambda: stop_after is not None and next(steps) + 1 >= stop_after,
        )  # fmt: skip


def test_a_run_goes_on_bit_for_bit_after_its_last_stage_is_solved(kind: type[Config], tmp_path: Path) -> None:
    config = kind(seed=0)
    whole = teach(tmp_path / "whole", config)
    # Solved long before its epochs are over.
    assert [record["solved"] for record in whole.history] == [True] * 4
    assert [record["stage"] for record in whole.history] == ["horizon1", "horizon2", "horizon2", "horizon2"]
    assert [record["finished"] for record in whole.history] == [False, False, False, True]
    for stop_after in (15, 50, 40):
        teach(tmp_path / "parts", config, stop_after)
    teach(tmp_path / "parts", config)
    for name in ("rnn_horizon1", "rnn_horizon2"):
        ours, theirs = (load_weights(tmp_path / run / name) for run in ("whole", "parts"))
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert asked_for(config, read_metrics(tmp_path / "parts"))[1]


def test_more_epochs_can_be_asked_for(kind: type[Config], tmp_path: Path) -> None:
    teach(tmp_path / "parts", kind(seed=0, epochs=2))
    assert teach(tmp_path / "parts", kind(seed=0, epochs=3)).epoch == 3
    teach(tmp_path / "whole", kind(seed=0, epochs=3))
    ours, theirs = (load_weights(tmp_path / run / "rnn_horizon2") for run in ("whole", "parts"))
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_checkpoint_is_loaded_with_its_task(kind: type[Config], tmp_path: Path) -> None:
    training = teach(tmp_path / "run", kind(seed=0, epochs=2))
    model = load(tmp_path / "run")
    inputs = torch.ones(4, 2, 3)
    assert torch.equal(model(inputs)[0], training.model(inputs)[0])
    assert trained_task(tmp_path / "run" / "rnn_horizon1") == Echo(dim=3, horizon=1)
    assert read_config(tmp_path / "run") == kind(seed=0, epochs=2)


NAME = f"{__name__}:Echo"
ORDER = (Stage("short", {"horizon": 1}), Stage("long", {"horizon": 2}))


def reversed_order(task: Echo) -> Curriculum:
    return Curriculum(ladder("dim", (task.dim,)), Criterion("accuracy", goes_on=True))


class TestOwn:
    """Tasks and curricula of a user's own."""

    def test_only_what_the_user_named_is_imported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(own, "_NAMED", {})
        with pytest.raises(own.NotNamedError, match=f"task {NAME!r}: expected --task {NAME} too"):
            config_of({"task": f"{NAME}"})
        allow({"task": NAME})
        assert config_of({"task": NAME}).template() == Echo()
        order = f"{__name__}:ORDER"
        with pytest.raises(own.NotNamedError, match=f"curriculum {order!r}: expected -c {order} too"):
            config_of({"task": NAME, "curriculum_type": order})
        allow({"curriculum_type": order})
        curriculum = config_of({"task": NAME, "curriculum_type": order}).curriculum()
        assert [stage.name for stage in curriculum.stages] == ["short", "long"]

    def test_it_starts_with_its_own_defaults_and_one_stage(self) -> None:
        allow({"task": NAME})
        config = config_of({"task": NAME, "dim": 4})
        assert config.name == "Echo_dim_4_network_1"
        (stage,) = config.curriculum().stages
        assert (stage.name, stage.heads) == ("task", (OUT,))
        assert config.model().n_inputs == 4

    def test_a_curriculum_is_stages_or_a_function_of_the_task(self) -> None:
        made = curriculum_from("m:f", reversed_order, Echo(dim=5))
        assert made.stages[0].ask == {"dim": 5}
        assert made.criterion.goes_on
        kept = Curriculum(ORDER)
        kept.update({"accuracy": [0.99]})
        # What a module holds is the start of every run.
        assert curriculum_from("m:f", kept, Echo()).position == 0
        for wrong in (5, "stages", (1, 2), type, ()):
            with pytest.raises(InputError, match=r"curriculum 'm:f' is a .*: expected stages"):
                curriculum_from("m:f", wrong, Echo())
