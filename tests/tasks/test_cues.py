"""Copy, the delayed cue and its game: what is shown, what is asked, chance by an ideal observer."""

from __future__ import annotations

import pytest
import torch

import tauscope as ts
from tauscope.learning.learners import BPTT
from tauscope.tasks import Copy, Cue, CueGame
from tauscope.tasks.check import check_task


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("longest", [1, 2, 5])
def test_the_answers_of_copy_are_the_bits_that_were_shown(longest: int) -> None:
    batch = Copy(longest).sample(40, draws())
    assert batch.weight is not None
    for trial in range(40):
        shown = batch.inputs[:, trial].argmax(dim=-1)
        n = int(batch.info["length"][trial])
        assert batch.inputs[:, trial].sum() == 2 * longest
        assert (shown[:n] < 2).all()
        assert (shown[n:] == 2).all()
        expected = [2] * n + shown[:n].tolist() + [2] * (2 * longest - 2 * n)
        assert batch.targets[:, trial, 0].tolist() == expected
        assert batch.weight[:, trial, 0].tolist() == [float(n <= t < 2 * n) for t in range(2 * longest)]


def test_copy_scores_whole_sequences() -> None:
    task = Copy(3)
    batch = task.sample(4000, draws())
    right = torch.nn.functional.one_hot(batch.targets, 3).float()
    assert task.score(right, batch).item() == 1.0
    assert task.score(torch.zeros_like(right), batch).item() == pytest.approx(task.heads["out"].chance, abs=0.02)
    spoilt = right.clone()
    last = 2 * batch.info["length"] - 1
    spoilt[last[:1000], torch.arange(1000)] = torch.tensor([0.0, 0.0, 9.0])
    assert task.score(spoilt, batch).item() == 0.75
    # What is said where nothing is asked counts for nothing.
    assert batch.weight is not None
    assert task.score(torch.where(batch.weight[..., None] > 0, right, right.flip(-1)), batch).item() == 1.0


def test_a_window_of_copy_in_which_nothing_is_asked_has_no_answers() -> None:
    batch = Copy(4).sample(30, draws())
    parts = list(BPTT(1).parts(batch))
    assert [len(part.targets) for part in parts] == [0, *[1] * 7]


def test_a_cue_is_asked_after_its_span() -> None:
    batch = Cue(span=4).sample(50, draws())
    assert batch.inputs.shape == (5, 50, 4)
    assert torch.equal(batch.inputs[0, :, :2].argmax(dim=-1), batch.targets[0, :, 0])
    assert (batch.inputs[1:4] == torch.tensor([0.0, 0.0, 1.0, 0.0])).all()
    assert (batch.inputs[4] == torch.tensor([0.0, 0.0, 0.0, 1.0])).all()
    assert set(batch.targets.flatten().tolist()) == {0, 1}


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("span", [1, 4])
def test_the_action_of_the_cue_is_rewarded_at_the_signal_alone(span: int, shown: bool) -> None:
    game = CueGame(span, shown)
    turn = game.reset(30, draws())
    cue = turn.observation[:, :2].argmax(dim=-1)
    for step in range(span + 1):
        assert turn.observation[:, 3].eq(step == span).all()
        assert torch.equal(turn.observation[:, :2].sum(dim=-1) > 0, torch.tensor(shown or step == 0).expand(30))
        actions = cue if step % 2 == span % 2 else 2 - cue
        before = turn.observation.clone()
        after = game.step(turn, actions, draws())
        assert torch.equal(turn.observation, before)
        assert after.done.all() == (step == span)
        assert (after.reward == float(step == span)).all()
        if step == span:
            wrong = torch.where(torch.arange(30) < 15, 1 - cue, 2)
            assert (game.step(turn, wrong, draws()).reward == -1).all()
        turn = after


@pytest.mark.parametrize("task", [Copy(2), Cue(3), CueGame(3)])
def test_trials_are_the_generator_s(task: ts.Task) -> None:
    check_task(task)


@pytest.mark.parametrize("kind", [Copy, Cue, CueGame])
def test_bad_sizes_are_refused(kind: type) -> None:
    for value in (0, -3, 2.5, "4", None):
        with pytest.raises(ts.InputError):
            kind(value)
