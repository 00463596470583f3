"""
Measure τ and τ_net
===================

A unit's own timescale τ is a parameter. How slowly its activity changes while the network runs, τ_net, is measured: the
network is driven by random bits, and exponentials are fitted to the autocorrelation of every unit.
"""

import tauscope as ts
from tauscope.plotting.timescales import plot_autocorrelations, plot_timescale_distribution

# %%
# The networks are two of those in ``trained_models``: 500 units that learned N-parity up to N = 11, one head for each N
# (multi-head) or one head for all (single-head).

BASE = "../../trained_models"
multi = ts.load_model("cumulative", "parity", network_number=1, N_max=11, base_path=BASE)
single = ts.load_model("single", "parity", network_number=1, N_max=11, base_path=BASE)

# %%
# Four trials of 10 000 steps take seconds and are enough for a look; the defaults of `tauscope.analysis.timescales` are
# those of the paper, 10 trials of 100 500 steps.

options = {"n_trials": 4, "n_steps": 10_000, "max_lag": 60}
of_multi = ts.analysis.timescales(multi, **options)
of_single = ts.analysis.timescales(single, **options)
print(of_multi[["tau", "tau_net", "tau_net_low", "tau_net_high", "n_exponentials"]].isel(unit=range(5)).to_dataframe())

# %%
# Autocorrelations
# ----------------
# The dots are three units of the multi-head network, the lines the fits that were chosen for them.

autocorrelations = plot_autocorrelations(of_multi)

# %%
# The same of the single-head network.

autocorrelations_of_single = plot_autocorrelations(of_single)

# %%
# Distributions
# -------------
# Many units decorrelate within one step. The paper's plots show the others, those with τ_net > 1; the summary gives
# both.

for name, result in (("multi-head", of_multi), ("single-head", of_single)):
    print(name)
    print(ts.analysis.timescales_summary(result).round(2).to_dataframe())

distribution = plot_timescale_distribution(of_multi)

# %%

distribution_of_single = plot_timescale_distribution(of_single)

# %%
# These are one network each. What a curriculum does to τ_net is a question to several networks, and their number is the
# sample size.
