"""Measurements of what units, weights and states do under the inputs of the task."""

from __future__ import annotations

from tauscope.measurements.measurement import Figure, Listed, made, numbers_of

ACTIVITY: dict[str, Listed] = {
    "performance": Listed(
        measure=made("measure_performance"),
        hands_on=("analysis.performance:performance", "analysis.performance:scores"),
        figures={
            "": Figure("performance:plot_performance", "Fractional loss at each delay, or the score of every question.")
        },
        numbers=numbers_of("performance_numbers"),
        lacks=made("lacks_trials"),
        cost=0.7,
        title="Performance",
        about="How far the answers fall short of an ideal observer's, who knows all that the spikes tell: the fractional "
        "loss on fresh trials, 0 for that observer, beside the loss of the best answer that ignores the input. Of a task "
        "that states no ideal observer's loss, its own score of every question, beside that of the best such answer.",
        main=("fractional loss",),
    ),
    "timescales": Listed(
        measure=made("measure_timescales"),
        hands_on=("analysis.timescales:timescales", "analysis.trials:trial_timescales"),
        figures={
            "autocorrelation": Figure(
                "timescales:plot_autocorrelations",
                "Autocorrelation of every unit (grey), and of three units with a short, a median and a long τ_net, with "
                "their fits.",
            ),
            "distribution": Figure(
                "timescales:plot_timescale_distribution",
                "How τ and τ_net are distributed over the units; τ_net of poor fits is left out.",
            ),
        },
        numbers=numbers_of("timescale_numbers"),
        cost=2.0,
        title="Timescales",
        about="τ is the time constant of a unit by itself; for gated units that of their mean gate. τ_net is how slowly its "
        "activity decorrelates in the network: the decay of its autocorrelation under random bits, fitted with one "
        "exponential or two, whichever has the lower AIC. Both are in time steps.",
        about_trials="τ_net is how slowly a unit's activity decorrelates in the delay: what sets a trial apart from the mean "
        "of all trials at the same step, correlated with what does so some steps later, and fitted with one exponential or "
        "two. A unit that holds what it was shown to the end has τ_net at the upper bound of the fit. τ, of units that "
        "have one, is their own time constant; for gated units that of their mean gate. Both are in time steps.",
        main=("mean tau (steps)", "mean tau_net, units > 1 (steps)"),
    ),
    "dimensionality": Listed(
        measure=made("measure_dimensionality"),
        hands_on=("analysis.dimensionality:dimensionality", "analysis.trials:trial_dimensionality"),
        figures={
            "": Figure(
                "dimensionality:plot_variance_spectrum",
                "Share of the variance that each principal component holds, and that all up to it hold together.",
            )
        },
        numbers=numbers_of("dimensionality_numbers"),
        cost=0.3,
        title="Dimensionality",
        about="How many directions the activity fills under random bits: the number of principal components that hold a "
        "given share of its variance, and the participation ratio (Σλ)² / Σλ² of their variances λ.",
        about_trials="How many directions the activity fills over all steps of all trials: the number of principal "
        "components that hold a given share of its variance, and the participation ratio (Σλ)² / Σλ² of their variances λ.",
        main=("components for *", "participation ratio"),
    ),
    "sequentiality": Listed(
        measure=made("measure_sequentiality"),
        figures={
            "peaks": Figure(
                "sequentiality:plot_peak_order",
                "Mean activity of every active unit, in parts of its peak, the earliest peak first.",
            ),
            "weights": Figure(
                "sequentiality:plot_weights_by_peak_difference",
                "Recurrent weights against how much later the receiving unit peaks than the sending one, in each trial; of "
                "the first layer, and of a gated cell those of its candidate state.",
            ),
        },
        numbers=numbers_of("sequentiality_numbers"),
        cost=0.5,
        title="Sequentiality",
        about="Whether units take turns or stay active together: the sequentiality index is the entropy of the units' peak "
        "times plus the mean logarithm of a unit's activity around its peak over that at all other steps. Noise "
        "spreads peaks out too: only what exceeds the index of the same activity with the time steps of every unit "
        "shuffled is evidence of a sequence. Random bits are given in trials of 150 steps, however large N, which end "
        "with the question.",
        main=("sequentiality index *",),
    ),
    "connectivity": Listed(
        measure=made("measure_connectivity"),
        figures={
            "eigenvalues": Figure(
                "connectivity:plot_eigenvalues",
                "Eigenvalues of the recurrent weights W and, for leaky units, of one step at unit gain, 1 - 1/τ + W/τ.",
            ),
            "weights": Figure(
                "connectivity:plot_weights",
                "Recurrent weights of the first layer; of a gated cell, those of its first gate.",
                made("first_weights"),
            ),
        },
        numbers=numbers_of("connectivity_numbers"),
        cost=0.1,
        title="Connectivity",
        about="The recurrent weights between different units, and the eigenvalues of the whole matrix. The spectral radius "
        "is the largest absolute eigenvalue.",
        main=("mean weight *", "spectral radius *"),
    ),
    "balance": Listed(
        measure=made("measure_balance"),
        figures={"": Figure("currents:plot_input_balance", "Mean inhibition against mean excitation of every unit.")},
        numbers=numbers_of("balance_numbers"),
        lacks=made("lacks_weighted_sums"),
        cost=0.1,
        title="Balance",
        about="How far excitation and inhibition cancel in what units receive, over trials. The sign is that of the current "
        "that a source brings. The mean current over its excitation and inhibition is 0 where they cancel on average and 1 "
        "where one is alone; their correlation in time is near 1 where they cancel at every moment.",
        main=("mean current *", "correlation of excitation and inhibition"),
    ),
    "lyapunov": Listed(
        measure=made("measure_lyapunov"),
        hands_on=("analysis.lyapunov:lyapunov", "analysis.trials:trial_lyapunov"),
        figures={"": Figure("lyapunov:plot_lyapunov_spectrum", "The leading exponents, the largest first.")},
        numbers=numbers_of("lyapunov_numbers"),
        cost=4.0,
        title="Lyapunov exponents",
        about="How fast nearby states of the network part (above 0) or meet (below 0) under the same random bits.",
        about_trials="How fast states that differ by little at the end of the stimulus part (above 0) or meet (below 0) in "
        "the delay, under the same input: finite-time exponents, averaged over the steps of the delay.",
        main=("largest Lyapunov exponent *",),
    ),
    "fixed_points": Listed(
        measure=made("measure_fixed_points"),
        hands_on=("analysis.fixed_points:fixed_points",),
        figures={
            "points": Figure(
                "fixed_points:plot_fixed_points",
                "Fixed and slow points, and trials, over the first principal components of visited states.",
            ),
            "modes": Figure(
                "fixed_points:plot_modes",
                "Eigenvalues of a step at all points: inside the circle modes decay, outside they grow.",
            ),
        },
        numbers=numbers_of("fixed_point_numbers"),
        cost=3.0,
        title="Fixed points",
        about="Where the network stands still, or nearly so, under a constant input, sought from states that it visits. A "
        "mode of the eigenvalue λ decays with the timescale -1/ln |λ| near a point, and grows where |λ| is above 1.",
        main=("stable fixed points", "slowest mode *"),
    ),
}
