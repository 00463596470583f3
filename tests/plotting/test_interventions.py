from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import tauscope as ts
from tauscope.analysis.interventions import Protocol, ablation, perturbation
from tauscope.plotting.interventions import plot_ablation, plot_perturbation, plot_perturbation_of_networks
from tauscope.plotting.style import new_axes

SHORT = Protocol(n_trials=3, n_steps=60, warm_up=10)
TASK = ts.Parity([2])


def _perturbed(relative, epsilons, dims=("epsilon", "trial"), which="recurrent", N=5):
    data = {"relative_accuracy": (dims, np.asarray(relative, dtype=float))}
    result = xr.Dataset(data, coords={"epsilon": epsilons}, attrs={"which": which, "N": N, "chance": 0.5})
    return result.assign(baseline=0.9 * xr.ones_like(result["relative_accuracy"].isel(epsilon=0)))


def _labels(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def _intact(result):
    return f"1: intact network (accuracy {result['baseline'].values.mean():.2f})"


def _title(ax):
    return ax.get_legend().get_title().get_text()


def _notes(ax):
    return [text.get_text() for text in ax.texts]


def test_every_ablated_unit_is_a_point_above_its_group(model, readable):
    result = ablation(model, TASK, 2, n=4, protocol=SHORT)
    ax = plot_ablation(result)
    relative, groups = result["relative_accuracy"].values.mean(axis=1), result["group"].values
    for i, group in enumerate(("slowest", "fastest", "random")):
        points, mean = ax.lines[2 * i : 2 * i + 2]
        assert np.allclose(points.get_ydata(), relative[groups == group])
        assert np.allclose(mean.get_ydata(), relative[groups == group].mean())
        assert len(np.unique(points.get_xdata())) == 4
        assert np.abs(points.get_xdata() - i).max() < 0.5
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["slowest", "fastest", "random"]
    assert _title(ax) == "1 network, N = 2, mean over 3 trials;\ndots: without one unit, lines: mean over units"
    assert _labels(ax)[3:] == [_intact(result), "0: chance (accuracy 0.50)"]
    readable(ax)


def test_ablated_groups_say_their_timescales(model):
    result = ablation(model, TASK, 2, n=4, protocol=SHORT)
    ax, tau = plot_ablation(result), model.tau.detach().sort().values
    slow, fast, _ = _labels(ax)[:3]
    slowest, fastest = (result["relative_accuracy"].sel(unit=result["group"] == group).mean() for group in
                        ("slowest", "fastest"))  # fmt: skip
    assert slow == rf"slowest (4, $\tau$ = {tau[-4]:.2f} – {tau[-1]:.2f} steps): mean {slowest:.2f}"
    assert fast == rf"fastest (4, $\tau$ = {tau[0]:.2f} – {tau[3]:.2f} steps): mean {fastest:.2f}"


def test_a_random_choice_of_equally_fast_units_is_said():
    model = ts.LeakyRNN(12, tau=1.0, n_heads=2, generator=torch.Generator().manual_seed(0))
    ax = plot_ablation(ablation(model, TASK, 2, groups=["fastest"], n=4, protocol=SHORT))
    assert _labels(ax)[0].startswith(r"fastest (4 of 12 equal, $\tau$ = 1.00 steps): mean ")


def test_groups_of_one_s_own_and_networks_without_timescales(readable):
    model = ts.build_model("gru", 6, n_heads=2, generator=torch.Generator().manual_seed(0))
    ax = plot_ablation(ablation(model, TASK, 2, groups={"mine": [0, 3], "yours": [1]}, protocol=SHORT))
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["mine", "yours"]
    assert [label.split(":")[0] for label in _labels(ax)[:2]] == ["mine (2)", "yours (1)"]
    assert list(ax.lines[2].get_xdata()) == [1.0]
    readable(ax)


def test_groups_ablated_at_once_are_one_point_each(model, readable):
    groups = {"slowest": [0, 1, 2], "random": [5]}
    result = ablation(model, TASK, 2, groups=groups, together=True, protocol=SHORT)
    ax = plot_ablation(result)
    assert ax.lines[0].get_xydata().tolist() == [[0.0, pytest.approx(float(result["relative_accuracy"][0].mean()))]]
    assert [label.split(":")[0] for label in _labels(ax)[:2]] == ["slowest (3)", "random (1)"]
    assert _title(ax).endswith("dots: without all units of a group")
    readable(ax)


def test_ablation_of_a_network_at_chance_gives_a_note(readable):
    relative = xr.DataArray([[np.inf, -np.inf], [np.nan, np.nan]], dims=("unit", "trial"))
    data = {"relative_accuracy": relative, "tau": ("unit", [1.0, 2.0]), "baseline": ("trial", [0.5, 0.5])}
    result = xr.Dataset(data, attrs={"N": 3, "chance": 0.5})
    ax = plot_ablation(result.assign_coords(group=("unit", ["fastest", "slowest"])))
    assert _notes(ax) == ["no relative accuracy: 1 and 0 coincide"]
    readable(ax)


@pytest.mark.parametrize("which", ["recurrent", "tau", "readout", "input"])
def test_perturbation_draws_mean_and_range_over_trials(model, which, shade, readable):
    result = perturbation(model, TASK, 2, which, epsilons=[0.01, 0.1, 10.0], protocol=SHORT)
    ax = plot_perturbation(result)
    relative = result["relative_accuracy"].values
    assert np.array_equal(ax.lines[0].get_xdata(), [0.0, 0.01, 0.1, 10.0])
    assert np.allclose(ax.lines[0].get_ydata(), relative.mean(axis=1))
    (ranges,) = shade(ax)
    for epsilon, trials in zip(result["epsilon"].values, relative, strict=True):
        assert ranges[epsilon] == pytest.approx((trials.min(), trials.max()))
    low, high = ax.get_ylim()
    assert low < relative.min()
    assert relative.max() < high
    assert _labels(ax) == ["mean over 3 trials, shaded: range", _intact(result), "0: chance (accuracy 0.50)"]
    assert _title(ax) == "1 network, N = 2"
    assert "of" in ax.get_xlabel()
    assert r"\epsilon" in ax.get_xlabel()
    readable(ax)


def test_sizes_are_evenly_spaced_on_the_axis_and_the_intact_network_is_on_it():
    ax = plot_perturbation(_perturbed(np.ones((5, 2)), [0.0, 1e-3, 1e-2, 1e-1, 1.0]))
    x = ax.transData.transform([(epsilon, 0) for epsilon in [0.0, 1e-3, 1e-2, 1e-1, 1.0]])[:, 0]
    steps = np.diff(x)
    assert np.allclose(steps[1:], steps[1])
    assert steps[0] > steps[1] / 4
    low, high = ax.get_xlim()
    assert low < 0
    assert high > 1


def test_only_the_intact_network_is_drawn_on_a_linear_axis(readable):
    ax = plot_perturbation(_perturbed([[1.0, 1.0]], [0.0]))
    assert ax.get_xscale() == "linear"
    readable(ax)


def test_perturbation_of_a_network_at_chance_gives_a_note(readable):
    ax = plot_perturbation(_perturbed([[np.nan, np.inf], [-np.inf, np.inf]], [0.0, 0.1]))
    assert _notes(ax) == ["no relative accuracy: 1 and 0 coincide"]
    readable(ax)


def test_sample_size_over_networks_is_their_number(shade, readable):
    generator = np.random.default_rng(0)
    multi, single = generator.random((4, 3, 5)), generator.random((3, 3, 5))
    dims, epsilons = ("network", "epsilon", "trial"), [0.0, 0.1, 1.0]
    results = {"cumulative": _perturbed(multi, epsilons, dims), "single": _perturbed(single, epsilons, dims)}
    ax = plot_perturbation_of_networks(results)
    for line, ranges, values in zip(ax.lines, shade(ax), (multi, single), strict=False):
        networks = values.mean(axis=2)
        assert np.allclose(line.get_ydata(), networks.mean(axis=0))
        for i, epsilon in enumerate(epsilons):
            assert ranges[epsilon] == pytest.approx((networks[:, i].min(), networks[:, i].max()))
    assert _labels(ax) == ["multi-head, 4 networks", "single-head, 3 networks", "1: intact network", "0: chance"]
    assert _title(ax) == "N = 5; mean over networks, shaded: their range"
    assert len({line.get_marker() for line in ax.lines[:2]}) == 2
    readable(ax)


def test_a_network_at_chance_is_left_out_of_the_mean_over_networks():
    relative = [[[1.0], [0.5]], [[np.inf], [-np.inf]]]
    ax = plot_perturbation_of_networks({"single": _perturbed(relative, [0.0, 0.1], ("network", "epsilon", "trial"))})
    assert list(ax.lines[0].get_ydata()) == [1.0, 0.5]


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({}, r"results of perturbations \[\]: expected one kind of parameters at one N"),
        (
            {
                "single": _perturbed([[[1.0]]], [0.0], ("network", "epsilon", "trial")),
                "cumulative": _perturbed([[[1.0]]], [0.0], ("network", "epsilon", "trial"), which="tau"),
            },
            r"results of perturbations \[\('recurrent', 5\), \('tau', 5\)\]: expected one kind",
        ),
        (
            {"cumulativ": _perturbed([[[1.0]]], [0.0], ("network", "epsilon", "trial"))},
            "curriculum 'cumulativ' is unknown: .*did you mean 'cumulative'",
        ),
    ],
    ids=["none", "two kinds", "unknown curriculum"],
)
def test_results_that_do_not_belong_on_one_figure_are_refused(results, message):
    with pytest.raises(ts.InputError, match=message):
        plot_perturbation_of_networks(results)


def test_given_axes_are_drawn_on():
    ax = new_axes()
    assert plot_perturbation(_perturbed([[1.0]], [0.0]), ax) is ax
