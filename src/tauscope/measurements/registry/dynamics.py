"""Measurements of how states lead to one another: without input, side by side, and through time."""

from __future__ import annotations

from tauscope.measurements.measurement import Figure, Function, Listed, made, numbers_of

_PARALLEL = (
    "Whether the states of all steps can be found at once, by correcting a guess of all of them until every step follows "
    "from the one before, {}. Newton's method needs few corrections where nearby states meet (largest Lyapunov exponent λ1 "
    "below 0) and fails where they part."
)

DYNAMICS: dict[str, Listed] = {
    "reactivation": Listed(
        measure=made("measure_reactivation"),
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
        numbers=numbers_of("reactivation_numbers"),
        lacks=made("lacks_noise"),
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
        measure=made("measure_parallelizability"),
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
        numbers=numbers_of("parallelizability_numbers"),
        cost=15.0,
        title="Parallel in time",
        about=_PARALLEL.format("under random bits"),
        about_trials=_PARALLEL.format("in the network's trials"),
        main=("largest Lyapunov exponent *", "iterations over *"),
    ),
    "gradient_decay": Listed(
        measure=Function("measurements.gradients:measure_gradient_decay"),
        hands_on=("analysis.gradient_decay:gradient_decay",),
        figures={
            "": Figure(
                "gradients:plot_gradient_decay",
                "Size of the derivative of a state with respect to an earlier one, against the steps between them.",
            )
        },
        numbers=numbers_of("gradient_decay_numbers"),
        cost=0.5,
        title="Decay of gradients",
        about="How fast the influence of a state on later ones fades in the network's trials: the norm of the derivative of the whole "
        "state with respect to that k steps earlier. A rate of 0.1 nats a step is a factor of e in 10 steps.",
        main=("decay of the gradient *",),
    ),
    "drives": Listed(
        measure=Function("measurements.gradients:measure_drives"),
        hands_on=("analysis.drives:drives",),
        figures={
            "": Figure(
                "gradients:plot_drives",
                "Share of the variance in the first principal components, of what units receive from each other and from the "
                "input, and of the units themselves.",
            )
        },
        numbers=numbers_of("drives_numbers"),
        lacks=Function("measurements.gradients:lacks_matrices"),
        cost=0.1,
        title="Recurrent and input drive",
        about="In how few directions the network drives itself: the share of the variance over its trials that the first principal "
        "components hold, of the recurrent weights times the activity, the input weights times the input, and the activity.",
        main=("share of the variance *",),
    ),
}
