"""The page's texts on every measurement: description, captions of figures, and names of the main numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import xarray as xr

from tauscope._words import count


@dataclass(frozen=True)
class Text:
    """The texts on a measurement.

    Attributes
    ----------
    title, about : str
        Heading of the section, and description of the measurement.
    captions : dict of str
        Captions of the figures, by the figure's name in `tauscope.measurements.MEASUREMENTS`.
    main : tuple of str
        Patterns (`fnmatch`) of the names of the main numbers, which are plotted against N.
    about_trials : str
        Description of the measurement of networks that answer trials, if it differs.
    """

    title: str
    about: str
    captions: dict[str, str]
    main: tuple[str, ...]
    about_trials: str = ""

    def said(self, results: Iterable[xr.Dataset]) -> str:
        """Return the descriptions of the measurement that apply to the networks of some results."""
        kinds = dict.fromkeys(self.about_trials if "task" in result.attrs else "" for result in results)
        return " ".join(dict.fromkeys(kind or self.about for kind in kinds))


_PERTURBED = (
    "The accuracy that is left after a random change of {}, relative to the intact network: 1 is as good as intact, "
    "0 is chance. ε is the size of the change as a share of the norm of what is changed."
)

TEXTS: dict[str, Text] = {
    "performance": Text(
        "Performance",
        "How far the answers fall short of an ideal observer's, who knows all that the spikes tell: the fractional "
        "loss on fresh trials, 0 for that observer, beside the loss of the best answer that ignores the input. Of a task "
        "that states no ideal observer's loss, its own score of every question, beside that of the best such answer.",
        {"": "Fractional loss at each delay, or the score of every question."},
        ("fractional loss",),
    ),
    "timescales": Text(
        "Timescales",
        "τ is the time constant of a unit by itself; for gated units that of their mean gate. τ_net is how "
        "slowly its activity decorrelates in the network: the "
        "decay of its autocorrelation under random bits, fitted with one exponential or two, whichever has the lower "
        "AIC. Both are in time steps.",
        {
            "autocorrelation": "Autocorrelation of every unit (grey), and of three units with a short, a median and a "
            "long τ_net, with their fits.",
            "distribution": "How τ and τ_net are distributed over the units; τ_net of poor fits is left out.",
        },
        ("mean tau (steps)", "mean tau_net, units > 1 (steps)"),
        "τ_net is how slowly a unit's activity decorrelates in the delay: what sets a trial apart from the mean of all "
        "trials at the same step, correlated with what does so some steps later, and fitted with one exponential or "
        "two. A unit that holds what it was shown to the end has τ_net at the upper bound of the fit. τ, of units that "
        "have one, is their own time constant; for gated units that of their mean gate. Both are in time steps.",
    ),
    "dimensionality": Text(
        "Dimensionality",
        "How many directions the activity fills under random bits: the number of principal components that hold a "
        "given share of its variance, and the participation ratio (Σλ)² / Σλ² of their variances λ.",
        {"": "Share of the variance that each principal component holds, and that all up to it hold together."},
        ("components for *", "participation ratio"),
        "How many directions the activity fills over all steps of all trials: the number of principal components that "
        "hold a given share of its variance, and the participation ratio (Σλ)² / Σλ² of their variances λ.",
    ),
    "sequentiality": Text(
        "Sequentiality",
        "Whether units take turns or stay active together: the sequentiality index is the entropy of the units' peak "
        "times plus the mean logarithm of a unit's activity around its peak over that at all other steps. Noise "
        "spreads peaks out too: only what exceeds the index of the same activity with the time steps of every unit "
        "shuffled is evidence of a sequence. Random bits are given in trials of 150 steps, however large N, which end "
        "with the question.",
        {
            "peaks": "Mean activity of every active unit, in parts of its peak, the earliest peak first.",
            "weights": "Recurrent weights against how much later the receiving unit peaks than the sending one, in each "
            "trial; of the first layer, and of a gated cell those of its candidate state.",
        },
        ("sequentiality index *",),
    ),
    "connectivity": Text(
        "Connectivity",
        "The recurrent weights between different units, and the eigenvalues of the whole matrix. The spectral radius "
        "is the largest absolute eigenvalue.",
        {
            "eigenvalues": "Eigenvalues of the recurrent weights W and, for leaky units, of one step at unit gain, "
            "1 - 1/τ + W/τ.",
            "weights": "Recurrent weights of the first layer; of a gated cell, those of its first gate.",
        },
        ("mean weight *", "spectral radius *"),
    ),
    "balance": Text(
        "Balance",
        "How far excitation and inhibition cancel in what units receive, over trials. The sign is that of the current that a "
        "source brings. The mean current over its excitation and inhibition is 0 where they cancel on average and 1 where "
        "one is alone; their correlation in time is near 1 where they cancel at every moment.",
        {"": "Mean inhibition against mean excitation of every unit."},
        ("mean current *", "correlation of excitation and inhibition"),
    ),
    "lyapunov": Text(
        "Lyapunov exponents",
        "How fast nearby states of the network part (above 0) or meet (below 0) under the same random bits.",
        {"": "The leading exponents, the largest first."},
        ("largest Lyapunov exponent *",),
        "How fast states that differ by little at the end of the stimulus part (above 0) or meet (below 0) in the "
        "delay, under the same input: finite-time exponents, averaged over the steps of the delay.",
    ),
    "fixed_points": Text(
        "Fixed points",
        "Where the network stands still, or nearly so, under a constant input, sought from states that it visits. A mode of "
        "the eigenvalue λ decays with the timescale -1/ln |λ| near a point, and grows where |λ| is above 1.",
        {
            "points": "Fixed and slow points, and trials, over the first principal components of visited states.",
            "modes": "Eigenvalues of a step at all points: inside the circle modes decay, outside they grow.",
        },
        ("stable fixed points", "slowest mode *"),
    ),
    "ablation": Text(
        "Ablation",
        "The accuracy that is left when a unit is silenced, relative to the intact network: 1 is as good as intact, 0 "
        "is chance. The slowest and the fastest units are told by τ; random ones are the control.",
        {"": "Relative accuracy without each of the ablated units, by group."},
        ("relative accuracy without *",),
    ),
    "perturbation_recurrent": Text(
        "Perturbation of the recurrent weights",
        _PERTURBED.format("the recurrent weights"),
        {"": "Relative accuracy against the size of the perturbation."},
        ("relative accuracy at epsilon 0.1", "relative accuracy at epsilon 1"),
    ),
    "perturbation_tau": Text(
        "Perturbation of τ",
        _PERTURBED.format("the timescales τ"),
        {"": "Relative accuracy against the size of the perturbation."},
        ("relative accuracy at epsilon 0.1", "relative accuracy at epsilon 1"),
    ),
    "perturbation_error": Text(
        "Error after perturbations",
        "The largest error after random changes of all parameters, or of one block alone, none of which is larger than β; the error "
        "is the task's score where less is better, and otherwise how far it is below the best. A change is borne if the error "
        "rises by no more than 0.1.",
        {"": "Largest error against the largest change of a parameter, by block of parameters."},
        ("largest perturbation that is borne *",),
    ),
    "memory_function": Text(
        "Memory function",
        "How much the answer still changes some steps after the input stepped up, beside the answer to no input: of a linear "
        "network, the size of the weight of an input so long ago.",
        {"": "Change of the answer against the lag, and what was asked where it is known."},
        ("half of all memory *",),
    ),
    "retraining": Text(
        "Retraining",
        "How well the network learns each larger N when it is trained on that N alone, with a single head. 1 is the "
        "accuracy at the N it started from, 0 an accuracy of 1/2.",
        {"": "Relative accuracy after retraining on each N."},
        ("relative accuracy after retraining at *",),
    ),
    "forgetting": Text(
        "Forgetting",
        "The accuracy on every N, smaller and larger than the trained ones, without any further training.",
        {"": "Accuracy on every N, by the head that answers it."},
        ("mean accuracy on *",),
    ),
    "generalisation": Text(
        "Memory held by the dynamics",
        "The accuracy of a fresh linear read-out, fitted for each N while the network stays as it is: how much memory "
        "its dynamics hold beyond what it was trained for.",
        {"": "Accuracy of a fresh read-out for each N."},
        ("accuracy of a fresh read-out at *",),
    ),
    "parallelizability": Text(
        "Parallel in time",
        "Whether the states of all steps can be found at once, by correcting a guess of all of them until every step follows "
        "from the one before, under random bits. Newton's method needs few corrections where nearby states meet (largest "
        "Lyapunov exponent λ1 below 0) and fails where they part.",
        {
            "": "Corrections that each method takes, against the length of the sequence; none where it did not converge.",
            "residual": "Largest residual of each trial after every correction of Newton's method.",
        },
        ("largest Lyapunov exponent *", "iterations over *"),
        "Whether the states of all steps can be found at once, by correcting a guess of all of them until every step follows "
        "from the one before, in the network's trials. Newton's method needs few corrections where nearby states meet (largest "
        "Lyapunov exponent λ1 below 0) and fails where they part.",
    ),
    "resolution": Text(
        "Time resolution",
        "The accuracy of a continuous-time network, by its own heads, when a bit lasts k steps, that is, at time steps "
        "of 1/k of a bit: the same sequences at every k.",
        {"": "Accuracy against the time step; the resolution of the measurements above is shaded."},
        ("mean accuracy at *",),
    ),
    "reactivation": Text(
        "Reactivation",
        "What the network does without input, under k times the variance of its own noise, beside its task: how far the decoded "
        "positions of silent runs are from those of the task (Kullback-Leibler divergence), and how they move. Runs begin at states "
        "of the task, at one of them, at rest, or with every unit at a state of its own. A network that stays where it is has a "
        "divergence near 0 too: compare the run without noise, the untrained network, and the variance within a run.",
        {
            "positions": "Decoded positions of silent runs from states of the task, over those of the task.",
            "runs": "Divergence from the task in the later half of every kind of silent run.",
        },
        ("score of the task (*", "KL from the task, later half (nats), active"),
    ),
}


def sample(result: xr.Dataset) -> str:
    """Return the numbers of networks, trials and steps or sequences of a result, in words.

    Examples
    --------
    >>> sample(xr.Dataset({"x": ("trial", [0.0, 1.0])}, attrs={"n_steps": 1000}))
    '1 network, 2 trials of 1000 steps.'
    >>> sample(xr.Dataset(attrs={"n_sequences": 2560}))
    '1 network, 2560 sequences.'
    """
    parts = ["1 network"]
    n_trials = result.attrs.get("n_trials", result.sizes.get("trial"))
    if n_trials is not None:
        of = "with delays of up to" if result.attrs.get("epoch") == "delay" else "of"
        steps = f" {of} {int(result.attrs['n_steps'])} steps" if "n_steps" in result.attrs else ""
        parts.append(count(int(n_trials), "trial") + steps)
    if "n_sequences" in result.attrs:
        parts.append(count(int(result.attrs["n_sequences"]), "sequence"))
    return f"{', '.join(parts)}."
