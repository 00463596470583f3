from __future__ import annotations

import numpy as np
import pytest

import tauscope as ts
from gyms import Walk
from tauscope.learning.curricula import SOLVED
from tauscope.plotting.style import CYCLE
from tauscope.plotting.training import plot_progress, plot_scores, plot_training
from tauscope.tasks import ChangeDetection, CueGame, DelayedEstimation, TwoAlternativeChoice


def _record(epoch, Ns, accuracy, loss=0.5, limit=0.98):
    return {"epoch": epoch, "Ns": Ns, "accuracy": accuracy, "loss": loss, "solved": accuracy[-1] > limit}


HISTORY = [
    _record(1, [2], [0.7], 0.6),
    _record(2, [2], [0.99], 0.2),
    _record(3, [2, 3], [0.95, 0.99], 0.4),
    _record(4, [2, 3, 4], [1.0, 0.99, 0.6], 0.9),
    _record(5, [2, 3, 4], [1.0, 0.99, 0.9], 0.7),
]


def _labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_progress_steps_up_where_an_N_was_solved_and_ends_with_the_run(readable):
    ax = plot_progress({"network 1": HISTORY})
    (line,) = ax.lines
    assert line.get_xydata().tolist() == [[2, 2], [3, 3], [5, 3]]
    assert line.get_drawstyle() == "steps-post"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "largest N solved (> 98%)")
    assert _labels(ax) == ["network 1"]
    assert ax.get_legend().get_title().get_text() == "1 run"
    readable(ax)


def test_many_runs_can_be_told_apart_also_where_they_coincide(readable):
    ax = plot_progress({f"network {i}": HISTORY for i in range(len(CYCLE) + 2)})
    assert len({(line.get_color(), line.get_linestyle()) for line in ax.lines}) == len(CYCLE) + 2
    widths = [line.get_linewidth() for line in ax.lines]
    assert widths[0] > widths[1] > widths[2]
    assert min(widths) >= 1
    readable(ax)


@pytest.mark.parametrize("histories", [{}, {"network 1": []}, {"network 1": HISTORY[:1]}])
def test_runs_that_solved_nothing_give_a_note(histories, readable):
    ax = plot_progress(histories)
    assert [text.get_text() for text in ax.texts] == ["no N was solved"]
    assert not any(len(line.get_xdata()) for line in ax.lines)
    readable(ax)


def test_a_run_that_solved_nothing_does_not_hide_the_others(readable):
    ax = plot_progress({"network 1": HISTORY[:1], "network 2": HISTORY})
    assert [len(line.get_xdata()) for line in ax.lines] == [0, 3]
    assert not ax.texts
    readable(ax)


def test_accuracy_and_loss_of_a_run_are_drawn(readable):
    ax = plot_training(HISTORY)
    newest, worst, solved, _ = ax.lines
    assert newest.get_xydata().tolist() == [[1, 0.7], [2, 0.99], [3, 0.99], [4, 0.6], [5, 0.9]]
    assert list(worst.get_ydata()) == [0.7, 0.99, 0.95, 0.6, 0.9]
    assert list(solved.get_ydata()) == [SOLVED] * 2
    (losses,) = (one for one in ax.figure.axes if one is not ax)
    assert losses.lines[0].get_xydata().tolist() == [[1, 0.6], [2, 0.2], [3, 0.4], [4, 0.9], [5, 0.7]]
    assert losses.get_ylabel() == "loss (nats, summed over heads)"
    assert sorted(_labels(ax)) == ["loss (right axis)", "newest head", "solved (98%)", "worst head"]
    readable(ax)


SCORES = [
    {"epoch": i, "stage": f"N{N}_N{N}", "fractional_loss": [score], "loss": 0.3 / i, "solved": False}
    for i, (N, score) in enumerate([(1, 1.1), (1, 0.6), (2, 0.9), (2, 0.2)], 1)
]


@pytest.mark.parametrize("task", [TwoAlternativeChoice(), DelayedEstimation()], ids=["decision", "estimation"])
def test_any_metric_is_drawn_with_its_chance_level_and_optimum(task, readable):
    history = [record | {"stage": "N1_N1"} for record in SCORES]
    ax = plot_training(history, {"N1_N1": task})
    score, optimum, _ = ax.lines
    assert score.get_xydata().tolist() == [[1, 1.1], [2, 0.6], [3, 0.9], [4, 0.2]]
    assert list(optimum.get_ydata()) == [0, 0]
    (chance,) = ax.patches
    assert chance.get_data().values.tolist() == [task.chance()] * 4
    assert chance.get_data().edges.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5]
    assert ax.get_ylabel() == "fractional loss on fresh trials"
    assert sorted(_labels(ax)) == [
        f"chance ({task.chance():.3g})",
        "fractional loss",
        "loss (right axis)",
        "optimum (0)",
    ]
    low, high = ax.get_ylim()
    assert low < 0
    assert high > max(1.1, task.chance())
    readable(ax)


def test_of_tasks_in_succession_each_has_its_chance_level(readable):
    tasks = {"N1_N1": ChangeDetection(), "N2_N2": ChangeDetection(gain=2.0)}
    ax = plot_training(SCORES, tasks)
    (change,) = [line for line in ax.lines if line.get_label() == "next task"]
    assert list(change.get_xdata()) == [2.5, 2.5]
    readable(ax)


def test_without_epochs_any_metric_gives_a_note(readable):
    ax = plot_training([], {"N1_N1": TwoAlternativeChoice()})
    assert [text.get_text() for text in ax.texts] == ["no finished epoch"]
    readable(ax)


def test_scores_that_are_not_finite_do_not_hide_the_others(readable):
    history = [SCORES[0], SCORES[1] | {"fractional_loss": [float("nan")], "loss": float("nan")}]
    readable(plot_training(history, {"N1_N1": TwoAlternativeChoice()}))


def test_scores_of_many_runs_are_drawn(readable):
    long = "multitask_comp_then_2afc_size_100_trial_10_40_10_lambda_0.98_sigma_0.0125_network_12"
    ax = plot_scores({long: SCORES, "short": SCORES[:1], "none": []}, "fractional_loss")
    assert [line.get_xydata().tolist() for line in ax.lines[:2]] == [
        [[1, 1.1], [2, 0.6], [3, 0.9], [4, 0.2]],
        [[1, 1.1]],
    ]
    assert ax.lines[1].get_marker() == "o", "a single epoch is seen"
    assert "".join(_labels(ax)[0].split("\n")) == long
    assert ax.get_ylabel() == "fractional loss on fresh trials"
    readable(ax)
    assert [text.get_text() for text in plot_scores({"none": []}, "relative_error").texts] == ["no finished epoch"]


def test_the_worst_head_is_drawn_only_where_it_is_another_one():
    assert "worst head" not in _labels(plot_training(HISTORY[:2]))


def test_the_accuracy_axis_holds_every_head():
    ax = plot_training([_record(1, [2, 3], [0.3, 0.9])])
    low, high = ax.get_ylim()
    assert low < 0.3
    assert high > 1


def test_long_runs_have_no_markers():
    history = [_record(epoch, [2], [0.6 + 0.3 * np.sin(epoch)]) for epoch in range(1, 200)]
    assert plot_training(history).lines[0].get_marker() in ("", "None")
    assert plot_training(history[:10]).lines[0].get_marker() == "o"


def test_a_run_without_epochs_gives_a_note(readable):
    ax = plot_training([])
    assert [text.get_text() for text in ax.texts] == ["no finished epoch"]
    readable(ax)


def test_records_of_a_training_can_be_drawn(generator, readable):
    recipe = ts.Recipe(epochs=2, steps_per_epoch=2, batch_size=8, test_steps=1, lr=1e-3)
    model = ts.LeakyRNN(8, n_heads=2, generator=generator)
    history = ts.train(model, ts.Parity([2]), ts.cumulative(last=3), recipe).history
    readable(plot_training(history))
    readable(plot_progress({"network 1": history}))


@pytest.mark.parametrize("losses", [[1e308], [0.5, 1.7e308], [-1e308, 1e308], [1e-320, 1e308]])
def test_a_loss_of_any_size_is_drawn(losses, readable):
    # Ticks beyond the largest float would be infinite.
    readable(plot_training([record | {"loss": loss} for record, loss in zip(HISTORY, losses, strict=False)]))
    history = [{"epoch": i, "fractional_loss": [loss]} for i, loss in enumerate(losses, start=1)]
    scores = plot_scores({"a": history}, "fractional_loss")
    readable(scores)
    assert scores.lines[0].get_ydata() == pytest.approx(np.clip(losses, -1e300, 1e300))


def _frames(history, step=100):
    return [record | {"frames": step * i, "return": record["accuracy"]} for i, record in enumerate(history, 1)]


def test_what_was_learnt_in_an_environment_is_drawn_against_frames(readable):
    history = [record | {"stage": "task"} for record in _frames(HISTORY)]
    ax = plot_training(history, {"task": CueGame()})
    assert ax.get_xlabel() == "frames"
    assert ax.lines[0].get_xdata().tolist() == [100, 200, 300, 400, 500]
    assert _labels(ax) == ["return", "chance (0)", "optimum (1)", "loss (right axis)"]
    readable(ax)
    runs = plot_scores({"game": history, "other": _frames(HISTORY[:2])}, "return")
    assert runs.get_xlabel() == "frames"
    assert [line.get_xdata().tolist() for line in runs.lines] == [[100, 200, 300, 400, 500], [100, 200]]
    # Runs that count no frames have epochs in common with those that do.
    assert (
        plot_scores({"game": history, "other": [r | {"return": [0.5]} for r in HISTORY]}, "return").get_xlabel()
        == "epoch"
    )


def test_levels_that_nobody_knows_are_not_drawn(readable):
    history = [record | {"stage": "task"} for record in _frames(HISTORY)]
    ax = plot_training(history, {"task": Walk()})
    assert _labels(ax) == ["return", "loss (right axis)"]
    readable(ax)
