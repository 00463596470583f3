"""Shifts: none where their size is 0, paired whatever is done, and what each does to what is seen and done."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import pytest
import torch

from gyms import Walk
from tauscope import InputError
from tauscope.errors import NotApplicableError
from tauscope.tasks import CueGame, Environment, Springs, Turn
from tauscope.tasks.check import check_task
from tauscope.tasks.shifts import (
    SHIFTS,
    ActionNoise,
    Bias,
    Blank,
    Delay,
    Dynamics,
    Hold,
    ObservationNoise,
    Shift,
    Shifted,
    Standard,
)

STANDARD = Standard(torch.tensor([1.0, -1.0, 0.5, 0.0]), torch.tensor([2.0, 1.0, 0.5, 3.0]))
NOTHING = [ObservationNoise(0.0), Bias(0.0), Hold(0.0), Blank(0.0), Delay(0), ActionNoise(0.0), Dynamics("mass", 1.0), Dynamics("gear", 1.0)]  # fmt: skip
SOMETHING = [*SHIFTS.values(), Blank(0.5), Delay(3), ActionNoise(0.5)]
N = 5


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def turns(
    environment: Environment, actions: Callable[[int], torch.Tensor], n_steps: int = 20, seed: int = 0
) -> list[Turn]:
    generator = draws(seed)
    found = [environment.reset(N, generator)]
    for t in range(n_steps):
        found.append(environment.step(found[-1], actions(t), generator))
    return found


def still(_: int) -> torch.Tensor:
    return torch.zeros(N, 2)


def pushing(t: int) -> torch.Tensor:
    return torch.full((N, 2), math.sin(t))


def assert_equal(left: list[Turn], right: list[Turn]) -> None:
    for one, other in zip(left, right, strict=True):
        assert torch.equal(one.observation, other.observation)
        assert torch.equal(one.reward, other.reward)
        assert torch.equal(one.done, other.done)


@pytest.mark.parametrize("shift", NOTHING, ids=repr)
def test_a_shift_of_size_0_is_none_bitwise(shift: Shift) -> None:
    assert_equal(turns(shift.apply(Springs(), STANDARD), pushing), turns(Springs(), pushing))


@pytest.mark.parametrize("shift", SOMETHING, ids=repr)
def test_a_shift_changes_what_is_seen_or_what_comes_of_it(shift: Shift) -> None:
    shifted, plain = turns(shift.apply(Springs(), STANDARD), pushing), turns(Springs(), pushing)
    assert not torch.equal(torch.stack([t.observation for t in shifted]), torch.stack([t.observation for t in plain]))
    inner = [t.world[0] if isinstance(shift.apply(Springs(), STANDARD), Shifted) else t for t in shifted]
    moved = not torch.equal(torch.stack([t.observation for t in inner]), torch.stack([t.observation for t in plain]))
    assert moved == (shift.kind == "body"), "sensors leave the body alone"


@pytest.mark.parametrize("shift", SOMETHING, ids=repr)
def test_a_shift_is_repeated_from_the_seed_and_no_turn_is_changed(shift: Shift) -> None:
    shifted = shift.apply(Springs(), STANDARD)
    first = turns(shifted, pushing)
    assert_equal(first, turns(pickle.loads(pickle.dumps(shifted)), pushing))
    assert_equal(first[:1], turns(copy.deepcopy(shifted), pushing)[:1])
    generator = draws(7)
    state = generator.get_state()
    ahead = shifted.step(first[5], still(0), generator)
    generator.set_state(state)
    assert torch.equal(ahead.observation, shifted.step(first[5], still(0), generator).observation)


@pytest.mark.parametrize("shift", SOMETHING, ids=repr)
def test_disturbances_are_the_same_whatever_is_done(shift: Shift) -> None:
    environment = shift.apply(Springs(), STANDARD)
    left, right = turns(environment, still), turns(environment, pushing)
    assert torch.equal(left[0].observation, right[0].observation)
    if not isinstance(environment, Shifted) or isinstance(shift, Hold | Delay | Blank | ActionNoise):
        return
    # What the sensors add.
    for one, other in zip(left, right, strict=True):
        added = [t.observation - t.world[0].observation for t in (one, other)]
        torch.testing.assert_close(*added, rtol=0, atol=1e-5)


def test_pushes_of_chance_are_those_without_the_shift() -> None:
    class Rest(Springs):
        """Masses that chance alone moves."""

    plain, noisy = (
        turns(environment, still) for environment in (Rest(), ObservationNoise(1.0).apply(Rest(), STANDARD))
    )
    assert_equal(plain, [t.world[0] for t in noisy])


@pytest.mark.parametrize("kind", [Hold, Blank])
def test_which_frames_are_lost_does_not_depend_on_actions(kind: type[Hold] | type[Blank]) -> None:
    environment = kind(0.4).apply(Springs(), STANDARD)

    def lost(found: list[Turn]) -> torch.Tensor:
        return torch.stack([(t.observation != t.world[0].observation).any(dim=-1) for t in found])

    left, right = lost(turns(environment, still, 60)), lost(turns(environment, pushing, 60))
    assert torch.equal(left, right)
    assert 0.25 < float(left.float().mean()) < 0.55
    assert (left.any(dim=1) & ~left.all(dim=1)).any(), "episodes lose frames of their own"


def test_noise_and_bias_are_in_standard_deviations() -> None:
    many = torch.Generator().manual_seed(3)
    plant = Springs()
    for shift, constant in ((ObservationNoise(0.3), False), (Bias(0.3), True)):
        environment = shift.apply(plant, STANDARD)
        turn, added = environment.reset(400, many), []
        for _ in range(20):
            added.append((turn.observation - turn.world[0].observation) / STANDARD.scale)
            turn = environment.step(turn, torch.zeros(400, 2), many)
        errors = torch.stack(added)
        torch.testing.assert_close(errors.square().mean(dim=(0, 1)).sqrt(), torch.full((4,), 0.3), rtol=0.05, atol=0)
        assert abs(float(errors.mean())) < 0.02
        same = torch.allclose(errors[0], errors[-1], atol=1e-5)
        assert same == constant
        # Channels and episodes have signs of their own.
        assert abs(float(torch.corrcoef(errors[0].T)[0, 1])) < 0.2


def test_held_blank_and_late_frames_are_what_they_should_be() -> None:
    held = turns(Hold(1.0).apply(Springs(), STANDARD), pushing)
    assert all(torch.equal(t.observation, held[0].world[0].observation) for t in held)
    blank = turns(Blank(1.0).apply(Springs(), STANDARD), pushing)
    assert all(torch.equal(t.observation, STANDARD.mean.expand(N, -1)) for t in blank)
    late = turns(Delay(3).apply(Springs(), STANDARD), pushing)
    for t, turn in enumerate(late):
        assert torch.equal(turn.observation, late[max(t - 3, 0)].world[0].observation)


def test_shifts_of_shifts_have_chance_of_their_own() -> None:
    once = ObservationNoise(1.0).apply(Springs(), STANDARD)
    twice = ObservationNoise(1.0).apply(once, STANDARD)
    turn = twice.reset(N, draws())
    outer = turn.observation - turn.world[0].observation
    inner = turn.world[0].observation - turn.world[0].world[0].observation
    assert not torch.allclose(outer, inner, atol=1e-3)
    heavier = Dynamics("mass", 2.0).apply(once, STANDARD)
    assert isinstance(heavier, Shifted)
    assert heavier.environment == Springs(mass=2.0)


def test_environments_of_gymnasium_are_shifted_too() -> None:
    standard = Standard(torch.zeros(3), torch.ones(3))
    environment = Hold(0.5).apply(Walk(forces=True), standard)
    check_task(environment)
    turn = environment.reset(30, draws())
    after = environment.step(turn, torch.zeros(30, 1), draws())
    kept = (after.observation == turn.observation).all(dim=1)
    assert kept.any()
    assert not kept.all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ObservationNoise(-0.1), "sigma is -0.1"),
        (lambda: ObservationNoise(math.nan), "sigma is nan"),
        (lambda: Bias(-1.0), "size is -1.0"),
        (lambda: Hold(1.5), "p is 1.5: expected a probability"),
        (lambda: Blank(-0.1), "p is -0.1"),
        (lambda: Delay(-1), "steps is -1"),
        (lambda: Delay(1.5), "steps is 1.5"),  # type: ignore[arg-type]
        (lambda: ActionNoise(-1.0), "sigma is -1.0"),
        (lambda: Dynamics("mass", 0.0), "factor is 0.0"),
        (lambda: Dynamics("mas", 2.0).apply(Springs(), STANDARD), "did you mean 'mass'"),
        (lambda: Hold(0.5).apply(Springs(n_masses=3), STANDARD), "the mean has 4 channels: expected 6"),
        (lambda: Hold(0.5).apply(0, STANDARD), "expected an Environment"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_shift_is_refused_in_a_line(make: Callable[[], object], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_environments_without_a_body_or_forces_say_so() -> None:
    for shift, environment in (
        (Dynamics("mass", 2.0), CueGame()),
        (Dynamics("gear", 2.0), Walk()),
        (ActionNoise(0.1), CueGame()),
    ):
        with pytest.raises(NotApplicableError, match="expected"):
            shift.apply(environment, STANDARD)
