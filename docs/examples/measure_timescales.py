"""
Measure τ and τ_net
===================

A unit's own timescale τ is a parameter. How slowly its activity changes while the network runs, τ_net, is measured: the
network is driven by random bits, and exponentials are fitted to the autocorrelation of every unit.
"""

import tauscope as ts
from tauscope.plotting.timescales import plot_autocorrelations, plot_timescale_distribution

# %%
# Two networks of ``trained_models``: 500 units that learned N-parity up to N = 11, with a head for each N (multi-head) or
# one head for all N (single-head).

BASE = "../../trained_models"
multi = ts.load_model("cumulative", "parity", network_number=1, N_max=11, base_path=BASE)
single = ts.load_model("single", "parity", network_number=1, N_max=11, base_path=BASE)

# %%
# Four trials of 10 000 steps take seconds and are enough for a first look; the defaults of `tauscope.analysis.timescales`
# are the paper's 10 trials of 100 500 steps.

options = {"n_trials": 4, "n_steps": 10_000, "max_lag": 60}
of_multi = ts.analysis.timescales(multi, **options)
of_single = ts.analysis.timescales(single, **options)
print(of_multi[["tau", "tau_net", "tau_net_low", "tau_net_high", "n_exponentials"]].isel(unit=range(5)).to_dataframe())

# %%
# Autocorrelations
# ----------------
# Dots: three units of the multi-head network; lines: their fits.

autocorrelations = plot_autocorrelations(of_multi)

# %%
# The same of the single-head network.

autocorrelations_of_single = plot_autocorrelations(of_single)

# %%
# Distributions
# -------------
# Many units decorrelate within a step. The paper's plots show only units with τ_net > 1; the summary has the means over
# these and over all units.

for name, result in (("multi-head", of_multi), ("single-head", of_single)):
    print(name)
    print(ts.analysis.timescales_summary(result).round(2).to_dataframe())

distribution = plot_timescale_distribution(of_multi)

# %%

distribution_of_single = plot_timescale_distribution(of_single)

# %%
# This was one network of each curriculum. The effect of a curriculum on τ_net needs several networks: their number is the
# sample size.
