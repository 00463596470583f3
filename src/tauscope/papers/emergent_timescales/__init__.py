"""Khajehabdollahi et al. (ICLR 2024): emergent mechanisms for long timescales depend on the training curriculum."""

from __future__ import annotations

from tauscope.papers.emergent_timescales import figures, figures_robustness, figures_supplement
from tauscope.papers.emergent_timescales.claims import CLAIMS
from tauscope.papers.emergent_timescales.conditions import CONDITIONS, MEASURES, SCALES
from tauscope.papers.emergent_timescales.drawing import MOST_N
from tauscope.papers.vocabulary import Paper, PaperFigure

_MARKS = (
    "Open markers: the paper's networks of 500 units, [D] computed from data that the authors published, [G] read off a "
    "published plot. Black edges, dashed: published networks that were measured by the same code (``--published``)."
)
_SHOWN = f"Values of the paper are shown up to N = {MOST_N}. "

FIGURES = (
    PaperFigure(
        "figure_3_training",
        "Training. (a) Optimiser steps until N is solved: without a curriculum each network learns one N from scratch "
        "(triangles: given up by then), with a curriculum N is reached through all smaller ones (lines: mean over "
        "networks). (b) Largest N solved against optimiser steps, a line for each network. (c) Largest N of every network "
        "in all its epochs, which differ between conditions. A step is one batch; the paper's batch is 256 sequences. "
        + _MARKS,
        figures.figure_3,
    ),
    PaperFigure(
        "figure_4a_maximum_N",
        "Largest N solved when the timescale τ of every unit is trained or fixed at 1, 2 or 3 steps: every network and "
        "the mean, within the epochs that all conditions of a curriculum were trained for. " + _MARKS,
        figures.figure_4a,
    ),
    PaperFigure(
        "figure_4b_tau",
        "Mean and standard deviation over units of the trained timescale τ, against N. The first row is the main task "
        "(N-parity), the second N-DMS. The number of networks is in the legend. " + _SHOWN + _MARKS,
        figures.figure_4b,
    ),
    PaperFigure(
        "figure_5ab_autocorrelation",
        "(a, b) Autocorrelation of every unit (grey) of one network of each curriculum under random bits, and of three "
        "units with their fits of one exponential or two. (c, d) Distribution over the units of all networks of the "
        "network-mediated timescale τ_net, the slower time constant of the fit, and of the trained timescale τ, at the "
        "largest N that all networks solved and were measured at.",
        figures.figure_5a_b,
    ),
    PaperFigure(
        "figure_5cd_tau_net",
        "Mean and standard deviation of the network-mediated timescale τ_net over the units with τ_net > 1, the paper's "
        "filter, against N. The first row is the main task (N-parity), the second N-DMS. The number of networks is in the "
        "legend. " + _SHOWN + _MARKS,
        figures.figure_5c_d,
    ),
    PaperFigure(
        "figure_6_weights_dimensionality",
        "Mean recurrent weight between different units, and number of principal components that hold 90 % of the variance "
        "of the activity under random bits, against N. The first row is the main task (N-parity), the second N-DMS. The "
        "number of networks is in the legend. " + _MARKS,
        figures.figure_6,
    ),
    PaperFigure(
        "figure_7_ablation",
        "Relative accuracy without one of the 20 slowest, 20 fastest or 20 random units, told by τ, against N; 1 is the "
        "intact network, 0 is chance. The number of networks is in the legend. Published values are means over 4 networks "
        "relative to the best intact trial. " + _MARKS,
        figures_robustness.figure_7,
    ),
    PaperFigure(
        "figure_8_robustness",
        "(a, b) Relative accuracy after the recurrent weights W or the timescales τ were moved in a random direction by ε "
        "of their norm; 1 is the intact network, 0 is chance. (c) Relative accuracy after retraining on one larger N alone; "
        "1 is the accuracy at the first N. (d) Accuracy of a fresh linear read-out of the frozen network for every N. Each "
        "at the largest N that all networks of both curricula solved and were measured at; the number of networks is in "
        "the legend. " + _MARKS,
        figures_robustness.figure_8,
    ),
    PaperFigure(
        "supplement_forgetting",
        "Accuracy on every N by the heads as they are, for each network after its last solved N. Single-head networks have "
        "one head, multi-head networks one for each N.",
        figures_robustness.supplement_forgetting,
    ),
    PaperFigure(
        "supplement_autocorrelation_fits",
        "Autocorrelation of every unit (grey) of one network of each curriculum at several N, and of three units with the "
        "chosen fit of one exponential or two, whichever has the lower AIC.",
        figures_supplement.autocorrelations,
    ),
    PaperFigure(
        "supplement_mod",
        "Networks in which the nonlinearity φ acts on the drive alone, r ← (1 - 1/τ) r + φ(W r + …) / τ: largest N solved, a "
        "line for each network, and mean τ_net of the units with τ_net > 1. " + _SHOWN + _MARKS,
        figures_supplement.mod,
    ),
    PaperFigure(
        "supplement_continuous_time",
        "Accuracy of continuous-time networks on a few of the N they solved against the time step Δt = 1/k of a bit, for "
        "k = 1 … 200; they were trained at k = 7 … 10 (shaded).",
        figures_supplement.continuous_time,
    ),
    PaperFigure(
        "supplement_gru_lstm",
        "Largest N solved by GRU and LSTM networks under both curricula, a line for each network.",
        figures_supplement.gated,
    ),
    PaperFigure(
        "supplement_sliding_window",
        "Largest N solved under a sliding window of 10 heads that drops its 5 oldest N, beside the main curricula; a line "
        "for each network. " + _MARKS,
        figures_supplement.sliding,
    ),
    PaperFigure(
        "supplement_network_size",
        "Largest N solved by networks of half and twice the units of the main ones, a line for each network.",
        figures_supplement.size,
    ),
)

PAPER = Paper(
    name="emergent-timescales",
    title="Emergent mechanisms for long timescales depend on training curriculum and affect performance in memory tasks",
    authors="S. Khajehabdollahi, R. Zeraati, E. Giannakakis, T. J. Schäfer, G. Martius, A. Levina",
    reference="ICLR 2024, https://openreview.net/forum?id=xwKt6bUkXj",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    scales=SCALES,
    published=(
        "timescales",
        "dimensionality",
        "connectivity",
        "ablation",
        "perturbation_recurrent",
        "perturbation_tau",
    ),
)
