"""Every measurement, declared in one place: from here come the names, flags, costs and texts of all of them.

Nothing here imports torch: functions are named, and imported when they are called.
"""

from __future__ import annotations

from tauscope.measurements.measurement import Figure, Function, Listed


def _made(name: str, **given: str) -> Function:
    return Function(f"measurements.making:{name}", given)


def _numbers(name: str) -> Function:
    return Function(f"measurements.numbers:{name}")


_PROTOCOL = "analysis.interventions:Protocol"


def _perturbation(which: str, title: str, changed: str, lacks: str) -> Listed:
    return Listed(
        measure=_made("measure_perturbation", which=which),
        hands_on=(_PROTOCOL,),
        figures={
            "": Figure("interventions:plot_perturbation", "Relative accuracy against the size of the perturbation.")
        },
        numbers=_numbers("perturbation_numbers"),
        lacks=_made(lacks),
        cost=0.4,
        title=title,
        about=f"The accuracy that is left after a random change of {changed}, relative to the intact network: 1 is as good as "
        "intact, 0 is chance. ε is the size of the change as a share of the norm of what is changed.",
        main=("relative accuracy at epsilon 0.1", "relative accuracy at epsilon 1"),
        asked_as="perturbation",
    )


_PARALLEL = (
    "Whether the states of all steps can be found at once, by correcting a guess of all of them until every step follows "
    "from the one before, {}. Newton's method needs few corrections where nearby states meet (largest Lyapunov exponent λ1 "
    "below 0) and fails where they part."
)

MEASUREMENTS: dict[str, Listed] = {
    "performance": Listed(
        measure=_made("measure_performance"),
        hands_on=("analysis.performance:performance", "analysis.performance:scores"),
        figures={
            "": Figure("performance:plot_performance", "Fractional loss at each delay, or the score of every question.")
        },
        numbers=_numbers("performance_numbers"),
        lacks=_made("lacks_trials"),
        cost=0.7,
        title="Performance",
        about="How far the answers fall short of an ideal observer's, who knows all that the spikes tell: the fractional "
        "loss on fresh trials, 0 for that observer, beside the loss of the best answer that ignores the input. Of a task "
        "that states no ideal observer's loss, its own score of every question, beside that of the best such answer.",
        main=("fractional loss",),
    ),
    "timescales": Listed(
        measure=_made("measure_timescales"),
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
        numbers=_numbers("timescale_numbers"),
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
        measure=_made("measure_dimensionality"),
        hands_on=("analysis.dimensionality:dimensionality", "analysis.trials:trial_dimensionality"),
        figures={
            "": Figure(
                "dimensionality:plot_variance_spectrum",
                "Share of the variance that each principal component holds, and that all up to it hold together.",
            )
        },
        numbers=_numbers("dimensionality_numbers"),
        cost=0.3,
        title="Dimensionality",
        about="How many directions the activity fills under random bits: the number of principal components that hold a "
        "given share of its variance, and the participation ratio (Σλ)² / Σλ² of their variances λ.",
        about_trials="How many directions the activity fills over all steps of all trials: the number of principal "
        "components that hold a given share of its variance, and the participation ratio (Σλ)² / Σλ² of their variances λ.",
        main=("components for *", "participation ratio"),
    ),
    "sequentiality": Listed(
        measure=_made("measure_sequentiality"),
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
        numbers=_numbers("sequentiality_numbers"),
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
        measure=_made("measure_connectivity"),
        figures={
            "eigenvalues": Figure(
                "connectivity:plot_eigenvalues",
                "Eigenvalues of the recurrent weights W and, for leaky units, of one step at unit gain, 1 - 1/τ + W/τ.",
            ),
            "weights": Figure(
                "connectivity:plot_weights",
                "Recurrent weights of the first layer; of a gated cell, those of its first gate.",
                _made("first_weights"),
            ),
        },
        numbers=_numbers("connectivity_numbers"),
        cost=0.1,
        title="Connectivity",
        about="The recurrent weights between different units, and the eigenvalues of the whole matrix. The spectral radius "
        "is the largest absolute eigenvalue.",
        main=("mean weight *", "spectral radius *"),
    ),
    "balance": Listed(
        measure=_made("measure_balance"),
        figures={"": Figure("currents:plot_input_balance", "Mean inhibition against mean excitation of every unit.")},
        numbers=_numbers("balance_numbers"),
        lacks=_made("lacks_weighted_sums"),
        cost=0.1,
        title="Balance",
        about="How far excitation and inhibition cancel in what units receive, over trials. The sign is that of the current "
        "that a source brings. The mean current over its excitation and inhibition is 0 where they cancel on average and 1 "
        "where one is alone; their correlation in time is near 1 where they cancel at every moment.",
        main=("mean current *", "correlation of excitation and inhibition"),
    ),
    "lyapunov": Listed(
        measure=_made("measure_lyapunov"),
        hands_on=("analysis.lyapunov:lyapunov", "analysis.trials:trial_lyapunov"),
        figures={"": Figure("lyapunov:plot_lyapunov_spectrum", "The leading exponents, the largest first.")},
        numbers=_numbers("lyapunov_numbers"),
        cost=4.0,
        title="Lyapunov exponents",
        about="How fast nearby states of the network part (above 0) or meet (below 0) under the same random bits.",
        about_trials="How fast states that differ by little at the end of the stimulus part (above 0) or meet (below 0) in "
        "the delay, under the same input: finite-time exponents, averaged over the steps of the delay.",
        main=("largest Lyapunov exponent *",),
    ),
    "fixed_points": Listed(
        measure=_made("measure_fixed_points"),
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
        numbers=_numbers("fixed_point_numbers"),
        cost=3.0,
        title="Fixed points",
        about="Where the network stands still, or nearly so, under a constant input, sought from states that it visits. A "
        "mode of the eigenvalue λ decays with the timescale -1/ln |λ| near a point, and grows where |λ| is above 1.",
        main=("stable fixed points", "slowest mode *"),
    ),
    "ablation": Listed(
        measure=_made("measure_ablation"),
        hands_on=(_PROTOCOL,),
        figures={
            "": Figure("interventions:plot_ablation", "Relative accuracy without each of the ablated units, by group.")
        },
        numbers=_numbers("ablation_numbers"),
        lacks=_made("lacks_Ns"),
        cost=0.5,
        title="Ablation",
        about="The accuracy that is left when a unit is silenced, relative to the intact network: 1 is as good as intact, 0 "
        "is chance. The slowest and the fastest units are told by τ; random ones are the control.",
        main=("relative accuracy without *",),
    ),
    "perturbation_recurrent": _perturbation(
        "recurrent", "Perturbation of the recurrent weights", "the recurrent weights", "lacks_Ns"
    ),
    "perturbation_tau": _perturbation("tau", "Perturbation of τ", "the timescales τ", "lacks_tau"),
    "perturbation_error": Listed(
        measure=_made("measure_perturbation_error"),
        hands_on=("analysis.perturbation_error:perturbation_error",),
        figures={
            "": Figure(
                "stability:plot_perturbation_error",
                "Largest error against the largest change of a parameter, by block of parameters.",
            )
        },
        numbers=_numbers("perturbation_error_numbers"),
        lacks=_made("lacks_question"),
        cost=5.5,
        title="Error after perturbations",
        about="The largest error after random changes of all parameters, or of one block alone, none of which is larger "
        "than β; the error is the task's score where less is better, and otherwise how far it is below the best. A change "
        "is borne if the error rises by no more than 0.1.",
        main=("largest perturbation that is borne *",),
    ),
    "memory_function": Listed(
        measure=_made("measure_memory_function"),
        hands_on=("analysis.memory_function:memory_function",),
        figures={
            "": Figure(
                "stability:plot_memory_function",
                "Change of the answer against the lag, and what was asked where it is known.",
            )
        },
        numbers=_numbers("memory_numbers"),
        lacks=_made("lacks_question"),
        cost=0.1,
        title="Memory function",
        about="How much the answer still changes some steps after the input stepped up, beside the answer to no input: of a "
        "linear network, the size of the weight of an input so long ago.",
        main=("half of all memory *",),
    ),
    "credit": Listed(
        measure=_made("measure_credit"),
        hands_on=("analysis.credit:credit",),
        figures={
            "": Figure(
                "credit:plot_credit",
                "Cosine of the truncated gradient with the full one, and its norm, against the steps of credit; of element-wise "
                "networks also the cosine of real-time recurrent learning (RTRL).",
            )
        },
        numbers=_numbers("credit_numbers"),
        lacks=_made("lacks_question"),
        cost=0.1,
        title="Credit in time",
        about="How far back in time the gradient of the loss reaches: the gradient in which every answer is followed back for k "
        "steps, beside that of full backpropagation on the same trials. A cosine near 1 says that training with k steps of "
        "credit would move the weights the same way; one step is the immediate derivative.",
        main=("cosine with the full gradient at k = 1", "credit for a cosine of *"),
    ),
    "pruning": Listed(
        measure=Function("measurements.pruning:measure_pruning"),
        hands_on=("analysis.pruned:pruning_curves",),
        figures={
            "": Figure(
                "pruning:plot_pruning", "Score against the share of the synapses that is kept, a line for each rule."
            )
        },
        numbers=_numbers("pruning_numbers"),
        lacks=Function("measurements.pruning:lacks_synapses"),
        cost=12.0,
        title="Pruning",
        about="What the network still answers when a share of its recurrent synapses is removed, without any training after it: at "
        "random, by magnitude, by activity, by noise-prune on the weights, or by Lyapunov noise pruning, at equal numbers of synapses. "
        "Without any, it is the control: what the read-outs can do with no recurrence.",
        main=("* kept (*",),
        in_all=False,
    ),
    "retraining": Listed(
        measure=_made("measure_retraining"),
        hands_on=("learning.recipe:Recipe",),
        figures={"": Figure("memory:plot_retraining", "Relative accuracy after retraining on each N.")},
        numbers=_numbers("retraining_numbers"),
        lacks=_made("lacks_Ns"),
        cost=800.0,
        title="Retraining",
        about="How well the network learns each larger N when it is trained on that N alone, with a single head. 1 is the "
        "accuracy at the N it started from, 0 an accuracy of 1/2.",
        main=("relative accuracy after retraining at *",),
        in_all=False,
    ),
    "forgetting": Listed(
        measure=_made("measure_forgetting"),
        hands_on=("measurements.retraining:forgetting",),
        figures={
            "": Figure(
                "memory:plot_forgetting",
                "Accuracy on every N, by the head that answers it.",
                lambda result, subject: (result["accuracy"], subject.trained),
            )
        },
        numbers=_numbers("forgetting_numbers"),
        lacks=_made("lacks_Ns"),
        cost=0.1,
        title="Forgetting",
        about="The accuracy on every N, smaller and larger than the trained ones, without any further training.",
        main=("mean accuracy on *",),
    ),
    "generalisation": Listed(
        measure=_made("measure_generalisation"),
        hands_on=("analysis.generalisation:generalise",),
        figures={
            "": Figure(
                "memory:plot_generalisation",
                "Accuracy of a fresh read-out for each N.",
                lambda result, subject: (result, subject.trained),
            )
        },
        numbers=_numbers("generalisation_numbers"),
        lacks=_made("lacks_Ns"),
        cost=0.2,
        title="Memory held by the dynamics",
        about="The accuracy of a fresh linear read-out, fitted for each N while the network stays as it is: how much memory "
        "its dynamics hold beyond what it was trained for.",
        main=("accuracy of a fresh read-out at *",),
    ),
    "resolution": Listed(
        measure=_made("measure_resolution"),
        hands_on=("analysis.resolution:resolution",),
        figures={
            "": Figure(
                "resolution:plot_resolution",
                "Accuracy against the time step; the resolution of the measurements above is shaded.",
                lambda result, subject: (result, (subject.drive()["repeat"],)),
            )
        },
        numbers=_numbers("resolution_numbers"),
        lacks=_made("lacks_time_steps"),
        cost=26.0,
        title="Time resolution",
        about="The accuracy of a continuous-time network, by its own heads, when a bit lasts k steps, that is, at time steps "
        "of 1/k of a bit: the same sequences at every k.",
        main=("mean accuracy at *",),
    ),
    "reactivation": Listed(
        measure=_made("measure_reactivation"),
        hands_on=("analysis.reactivation:reactivation",),
        figures={
            "positions": Figure(
                "reactivation:plot_trajectories",
                "Decoded positions of silent runs from states of the task, over those of the task.",
            ),
            "runs": Figure(
                "reactivation:plot_divergences",
                "Divergence from the task in the later half of every kind of silent run.",
            ),
        },
        numbers=_numbers("reactivation_numbers"),
        lacks=_made("lacks_noise"),
        cost=6.0,
        title="Reactivation",
        about="What the network does without input, under k times the variance of its own noise, beside its task: how far "
        "the decoded positions of silent runs are from those of the task (Kullback-Leibler divergence), and how they move. "
        "Runs begin at states of the task, at one of them, at rest, or with every unit at a state of its own. A network that "
        "stays where it is has a divergence near 0 too: compare the run without noise, the untrained network, and the "
        "variance within a run.",
        main=("score of the task (*", "KL from the task, later half (nats), active"),
    ),
    "parallelizability": Listed(
        measure=_made("measure_parallelizability"),
        hands_on=(
            "analysis.parallelizability:parallelizability",
            "analysis.parallelizability:trial_parallelizability",
        ),
        figures={
            "": Figure(
                "parallel:plot_iterations",
                "Corrections that each method takes, against the length of the sequence; none where it did not converge.",
            ),
            "residual": Figure(
                "parallel:plot_residuals",
                "Largest residual of each trial after every correction of Newton's method.",
            ),
        },
        numbers=_numbers("parallelizability_numbers"),
        cost=15.0,
        title="Parallel in time",
        about=_PARALLEL.format("under random bits"),
        about_trials=_PARALLEL.format("in the network's trials"),
        main=("largest Lyapunov exponent *", "iterations over *"),
    ),
}
