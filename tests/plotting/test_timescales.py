from __future__ import annotations

import numpy as np
import pytest
import torch

import tauscope as ts
from tauscope.analysis.fit_quality import is_described
from tauscope.analysis.timescales import timescales
from tauscope.plotting.timescales import plot_autocorrelations, plot_timescale_distribution


@pytest.fixture(scope="module")
def result(model):
    return timescales(model, n_trials=2, n_steps=2000, burn_in=50, max_lag=40, bootstrap=0)


def _title(ax):
    return ax.get_legend().get_title().get_text()


def test_an_autocorrelation_that_grows_is_not_cut(result):
    """As that of a unit can, whose fluctuations grow in the delay of a trial."""
    growing = result.assign(autocorrelation=result["autocorrelation"] + 0.2)
    assert plot_autocorrelations(growing).get_ylim()[1] > 1.2


def test_drawn_fits_are_the_measured_ones(result, readable):
    ax = plot_autocorrelations(result)
    n_units, lags = result.sizes["unit"], np.arange(31)
    measured = result["autocorrelation"].values[:, :31]
    assert np.array_equal([line.get_ydata() for line in ax.lines[:n_units]], measured)
    described = np.flatnonzero(is_described(result))
    order = described[np.argsort(result["tau_net"].values[described])]
    shown = [order[round(quantile * (len(order) - 1))] for quantile in (0.1, 0.5, 0.9)]
    for i, unit in enumerate(shown):
        dots, fit = ax.lines[n_units + 2 * i : n_units + 2 * i + 2]
        assert np.array_equal(dots.get_xydata(), np.stack([lags, measured[unit]], axis=1))
        # The residuals of what is drawn are those that the fit reports.
        rss = np.square(fit.get_ydata() - measured[unit]).sum()
        assert rss == pytest.approx(
            float(result["rss"][unit].sel(exponentials=result["n_exponentials"][unit])), rel=1e-6
        )
        assert fit.get_label().endswith(f"= {float(result['tau_net'][unit]):.2f} steps")
        assert fit.get_color() == dots.get_color()
    low, high = ax.get_ylim()
    assert low < measured.min()
    assert high > 1
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("lag (steps)", "autocorrelation")
    assert _title(ax) == (
        "1 network, 9 of 12 units fitted well,\n3 poorly (3 oscillate);\ngrey: all; dots: measured, lines: fit"
    )
    readable(ax)


def test_units_that_were_not_fitted_are_left_out(result, readable):
    missing = result.copy(deep=True)
    missing["tau_net"][3:] = np.nan
    missing["autocorrelation"][3:] = np.nan
    missing["poor_fit"][:] = False
    ax = plot_autocorrelations(missing)
    assert _title(ax).startswith("1 network, 3 of 12 units")
    assert len(ax.lines) == 3 + 2 * 3 + 1
    readable(ax)
    missing["tau_net"][:] = np.nan
    ax = plot_autocorrelations(missing)
    assert [text.get_text() for text in ax.texts] == ["no unit was fitted"]
    readable(ax)


def test_every_unit_is_counted_once_in_each_distribution(result, readable):
    ax = plot_timescale_distribution(result)
    for patch, name in zip(ax.patches, ("tau", "tau_net"), strict=True):
        counts, edges, _ = patch.get_data()
        values = result[name].values if name == "tau" else result[name].values[is_described(result)]
        assert counts.sum() == len(values) == {"tau": 12, "tau_net": 9}[name]
        assert edges[-1] > values.max()
        for low, high, n in list(zip(edges, edges[1:], counts, strict=False))[1:]:
            assert n == ((values >= low) & (values < high)).sum()
        assert counts[0] == (values < edges[1]).sum()
        assert f"{len(values)} units, mean {values.mean():.2f}, STD {values.std():.2f} steps" in patch.get_label()
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xscale()) == ("timescale (steps)", "units", "log")
    assert _title(ax) == (
        "1 network, 9 of 12 units fitted well,\n3 poorly (3 oscillate);\n"
        f"the first bin holds all below {edges[1]:.2g} steps"
    )
    readable(ax)


def test_networks_without_tau_have_one_distribution(readable):
    model = ts.build_model("gru", 6, generator=torch.Generator().manual_seed(0))
    result = timescales(model, n_trials=2, n_steps=500, burn_in=10, max_lag=40, bootstrap=0)
    ax = plot_timescale_distribution(result)
    (patch,) = ax.patches
    assert r"\tau_\mathrm{net}" in patch.get_label()
    readable(ax)


def test_no_timescale_at_all_gives_a_note(result, readable):
    ax = plot_timescale_distribution(result.assign(tau=np.nan * result["tau"], tau_net=np.nan * result["tau_net"]))
    assert [text.get_text() for text in ax.texts] == ["no unit has a timescale"]
    readable(ax)
