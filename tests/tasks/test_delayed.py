"""What all delayed-response tasks share: epochs, held delays, the irrelevant bump, chance from one generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tauscope import InputError
from tauscope.tasks import POPULATION_TASKS, PUBLISHED_CODES, population_task_name
from tauscope.tasks.delayed import DelayedResponseTask, PopulationTask

NAMES = list(POPULATION_TASKS)
SPIKING = [name for name in NAMES if name != "sine"]
LOCATIONS = {"de2": 2, "cd2": 2, "gde": 2}
OUTPUTS = {"de2": 2}
# The second stimulus of these comes with the question; the others are asked in spontaneous activity.
COMPARED = ("cd", "cd2", "comp")


@st.composite
def tasks(draw: st.DrawFn) -> tuple[str, DelayedResponseTask]:
    """Draw a task with any valid options."""
    name = draw(st.sampled_from(NAMES))
    delays = draw(st.integers(1, 20) | st.lists(st.integers(1, 20), min_size=1, max_size=4).map(tuple))
    resp = draw(st.integers(1, 9))
    options: dict[str, Any] = {"dynamic": draw(st.booleans())} if name != "sine" else {}
    task = POPULATION_TASKS[name](
        stim_steps=draw(st.integers(1, 9)),
        delay_steps=delays,
        resp_steps=resp,
        n_in=draw(st.integers(2, 12)),
        score_step=draw(st.integers(-resp, -1)),
        reference=draw(st.booleans()),
        **options,
    )
    return name, task


@settings(deadline=None, max_examples=100)
@given(named=tasks(), batch_size=st.integers(1, 6), seed=st.integers(0, 2**31))
def test_a_batch_has_the_epochs_the_held_steps_and_the_shapes_of_its_task(
    named: tuple[str, DelayedResponseTask], batch_size: int, seed: int
) -> None:
    name, task = named
    batch = task.sample(batch_size, torch.Generator().manual_seed(seed))
    delays = task.delay_steps if isinstance(task.delay_steps, tuple) else (task.delay_steps,)
    n_steps = task.stim_steps + max(delays) + task.resp_steps
    dynamic = isinstance(task, PopulationTask) and task.dynamic
    n_inputs = (LOCATIONS.get(name, 1) + dynamic) * task.n_in
    assert batch.inputs.shape == (n_steps, batch_size, n_inputs)
    assert task.n_inputs == n_inputs
    assert batch.targets.shape == (task.resp_steps, batch_size, 1, OUTPUTS.get(name, 1))
    assert batch.inputs.dtype == batch.targets.dtype == torch.float32
    assert batch.weight is None
    assert set(batch.info["delay"].tolist()) <= set(delays)
    assert all(len(one) == batch_size for one in batch.info.values())
    if len(delays) == 1:
        assert batch.hold is None
    else:
        assert batch.hold is not None
        for trial, delay in enumerate(batch.info["delay"].tolist()):
            held = [task.stim_steps + delay <= t < task.stim_steps + max(delays) for t in range(n_steps)]
            assert batch.hold[:, trial].tolist() == held
        assert float(batch.inputs[batch.hold].abs().sum()) == 0
    answered = torch.zeros_like(batch.targets)
    assert task.score(answered, batch).shape == (1,)
    assert task.loss(answered, batch).shape == (1,)


@settings(deadline=None, max_examples=30)
@given(named=tasks(), seed=st.integers(0, 2**31))
def test_chance_comes_from_the_given_generator_alone(named: tuple[str, DelayedResponseTask], seed: int) -> None:
    _, task = named
    before = torch.get_rng_state()
    one, other = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    for _ in range(2):
        a, b = task.sample(3, one), task.sample(3, other)
        assert torch.equal(a.inputs, b.inputs)
        assert torch.equal(a.targets, b.targets)
    assert torch.equal(one.get_state(), other.get_state())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", SPIKING)
def test_each_epoch_has_its_rate_spread_evenly_over_its_steps(name: str, generator: torch.Generator) -> None:
    n, stim, delay, resp = 4000, 4, 6, 5
    task = POPULATION_TASKS[name](stim_steps=stim, delay_steps=delay, resp_steps=resp, n_in=10, spontaneous=0.3)  # type: ignore[call-arg]
    assert isinstance(task, PopulationTask)
    inputs = task.sample(n, generator).inputs
    by_step = inputs.mean(dim=(1, 2)).numpy()
    error = 6 * np.sqrt(by_step.max() / (n * task.n_inputs))
    shown = by_step[:stim].mean()
    cue = {"gde": 3.0}.get(name, 1.0)
    asked = shown if name in COMPARED else 0.3 * cue / resp
    expected = np.repeat(
        [shown, 0.3 / delay, asked if name not in COMPARED else shown * stim / resp], [stim, delay, resp]
    )
    np.testing.assert_allclose(by_step, expected, atol=error)


@pytest.mark.parametrize("name", SPIKING)
def test_the_mean_response_of_the_population_is_its_tuning_times_gain(name: str, generator: torch.Generator) -> None:
    task = POPULATION_TASKS[name](stim_steps=3, delay_steps=1, resp_steps=5, n_in=20, gain=2.0)  # type: ignore[call-arg]
    assert isinstance(task, PopulationTask)
    batch = task.sample(3000, generator)
    counts = batch.inputs[:3].sum(dim=0).view(3000, task.n_locations, 20)
    stimulus = batch.info["stimulus"]
    # The stimulus of the first epoch, at every location.
    first = {"cd": lambda: stimulus[..., 0], "cd2": lambda: stimulus[..., 0], "comp": lambda: stimulus[:, :1],
             "2afc": lambda: stimulus[:, None]}.get(name, lambda: stimulus)()  # fmt: skip
    rates = 2.0 * task.tuning.rates(first)
    z = ((counts - rates) / rates.clamp(min=0.05).sqrt()).mean(dim=0) * 3000**0.5
    assert float(z.abs().max()) < 5


def test_delays_are_chosen_evenly(generator: torch.Generator) -> None:
    batch = POPULATION_TASKS["de1"](delay_steps=(10, 40, 70, 100), n_in=2).sample(4000, generator)
    counts = [int((batch.info["delay"] == delay).sum()) for delay in (10, 40, 70, 100)]
    assert sum(counts) == 4000
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_bump_stands_behind_the_locations_and_changes_nothing_else() -> None:
    plain, dynamic = (
        POPULATION_TASKS["cd2"](dynamic=one, n_in=10).sample(5, torch.Generator().manual_seed(3))  # type: ignore[call-arg]
        for one in (False, True)
    )
    assert torch.equal(plain.inputs, dynamic.inputs[..., :20])
    assert torch.equal(plain.targets, dynamic.targets)


@pytest.mark.parametrize(("name", "amplitude"), [("de1", 1.0), ("gde", 1.0), ("2afc", 1.0), ("cd", 0.1), ("comp", 0.1)])
def test_the_bump_has_the_published_amplitude(name: str, amplitude: float, generator: torch.Generator) -> None:
    task = POPULATION_TASKS[name](dynamic=True, delay_steps=10, stim_steps=5, resp_steps=6)  # type: ignore[call-arg]
    bump = task.sample(500, generator).inputs[..., -50:]
    # At its first step it stands on the first neuron, at its last on the last one, or half a neuron from it.
    assert float(bump[0, :, 0].mean()) == pytest.approx(amplitude, abs=0.25 * amplitude**0.5)
    assert float(bump[:, :, 0].sum()) == pytest.approx(float(bump[:10, :, 0].sum()))
    assert float(bump[-1, :, -1].mean()) == pytest.approx(amplitude, abs=0.3 * amplitude**0.5)


def test_published_parameters_are_the_defaults() -> None:
    for kind in POPULATION_TASKS.values():
        task = kind()
        assert (task.stim_steps, task.delay_steps, task.resp_steps, task.n_in) == (25, 100, 25, 50)
        assert (task.score_step, task.heads["out"].optimum) == (-5, 0.0)
        assert "Orhan & Ma" in task.source
        assert not isinstance(task, PopulationTask) or (task.gain, task.spontaneous, task.dynamic) == (1.0, 0.1, False)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"stim_steps": 0}, "stim_steps is 0: expected at least 1"),
        ({"delay_steps": ()}, "no delay is given: expected a number of steps, or several"),
        ({"delay_steps": (10, 0)}, "delay_steps is 0: expected at least 1"),
        ({"resp_steps": 4}, r"score_step is -5: expected -4 ... -1, .* \(nearest valid value: -4\)"),
        ({"score_step": 0}, r"score_step is 0: .* \(nearest valid value: -1\)"),
        ({"n_in": 1}, "n_in is 1: expected at least 2"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_bad_options_are_refused_in_one_line(name: str, options: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError, match=line) as caught:
        POPULATION_TASKS[name](**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", SPIKING)
@pytest.mark.parametrize("option", ["gain", "spontaneous"])
def test_rates_below_zero_are_refused(name: str, option: str) -> None:
    with pytest.raises(InputError, match=rf"{option} is -0.1: expected at least 0.0"):
        POPULATION_TASKS[name](**{option: -0.1})


def test_tasks_have_the_names_and_codes_of_the_published_scripts() -> None:
    assert PUBLISHED_CODES == {0: "de1", 1: "de2", 2: "cd", 3: "cd2", 4: "gde", 6: "2afc", 7: "sine", 8: "comp"}
    for code, name in PUBLISHED_CODES.items():
        assert population_task_name(code) == population_task_name(str(code)) == population_task_name(name) == name
    paper = ["DE-1", "DE-2", "CD", "GDE", "2AFC", "Sine", "COMP"]
    assert [population_task_name(one) for one in paper] == ["de1", "de2", "cd", "gde", "2afc", "sine", "comp"]


@pytest.mark.parametrize(("given_name", "hint"), [("comb", "did you mean 'comp'"), (5, "8 (comp)"), ("9", "0 (de1)")])
def test_an_unknown_task_is_refused_with_what_is_known(given_name: str | int, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        population_task_name(given_name)
    assert str(caught.value).startswith(f"task {given_name!r} is unknown: expected one of de1, de2")
    assert hint in str(caught.value)
