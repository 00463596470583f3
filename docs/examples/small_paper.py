"""
A paper of your own
===================

A paper is a module with conditions to train, measurements to make, claims to judge and figures to draw. This paper is
reproduced in seconds.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import xarray as xr
from matplotlib.figure import Figure
from sparseness import SPARSENESS

from tauscope.jobs.pool import processors
from tauscope.papers.reproduce.judging import claim_rows, judge
from tauscope.papers.reproduce.planning import make_plan
from tauscope.papers.reproduce.running import run_plan
from tauscope.papers.statistics import greater, positive
from tauscope.papers.vocabulary import Claim, Condition, Finding, Measure, Paper, PaperFigure, Results, Scale
from tauscope.plotting.training import plot_progress

# %%
# Conditions
# ----------
# A condition is a group of networks with the same options and different seeds; the options are those of
# `tauscope.TrainConfig`.

CONDITIONS = (
    Condition("multi", "multi-head", {"curriculum_type": "cumulative"}),
    Condition("single", "single-head", {"curriculum_type": "single"}),
)

# %%
# Measurements
# ------------
# A measurement of tauscope, and a measurement of this paper alone.

MEASURES = (
    Measure("forgetting", ("multi", "single")),
    Measure("sparseness", ("multi",)),
)

# %%
# Claims
# ------
# A claim is a sentence of the paper with a function that judges it: the function takes the results and returns a finding
# for each inequality. A sample has one number for each network.


def mean_accuracy(result: xr.Dataset) -> float:
    """Return the mean accuracy over all measured N."""
    return float(result["accuracy"].mean())


def remembers(results: Results) -> Sequence[Finding]:
    """Judge whether the multi-head networks answer more N."""
    multi, single = (results.values("forgetting", name, mean_accuracy) for name in ("multi", "single"))
    return [greater("mean accuracy: multi-head > single-head", multi, single, published="0.80, 0.60")]


def reaches(results: Results) -> Sequence[Finding]:
    """Judge whether the multi-head networks solve at least as large an N."""
    return [greater("N: multi-head ≥ single-head", results.solved("multi"), results.solved("single"), at_least=True)]


def is_sparse(results: Results) -> Sequence[Finding]:
    """Judge whether the units of the multi-head networks are seldom active."""
    values = results.values("sparseness", "multi", lambda result: float(result["sparseness"].mean()))
    return [positive("1 - sparseness > 1/2", [1 - value for value in values], threshold=0.5)]


CLAIMS = (
    Claim("C1", "A multi-head network keeps what it learned.", "section 1", remembers),
    Claim("C2", "It reaches as large an N.", "section 2", reaches),
    Claim("C3", "Its units are seldom active.", "section 3", is_sparse),
)

# %%
# Figures
# -------


def progress(results: Results) -> Figure:
    """Draw the largest N that every network has solved, after every epoch."""
    networks = [network for group in results.networks.values() for network in group]
    return plot_progress({f"{network.condition} {network.network}": network.history for network in networks}).figure


FIGURES = (PaperFigure("figure_1_progress", "The largest N solved after every epoch, for every network.", progress),)

# %%
# Scales
# ------
# A scale fixes the size of a reproduction, its cost, and the claims that it cannot judge, before anything is run.

TRAINING = {"num_neurons": 50, "batch_size": 64, "lr": 0.1, "steps_per_epoch": 100, "test_steps": 10, "max_N": 4}
SCALES = {
    "smoke": Scale("smoke", "seconds", 1, {**TRAINING, "epochs": 1}, out_of_reach={
        claim.key: "one network, one epoch" for claim in CLAIMS
    }),
    "quick": Scale(
        "quick",
        "half a minute on two cores",
        3,
        {**TRAINING, "epochs": 10},
        measurement_options={"forgetting": {"beyond": 2}, "sparseness": {"n_trials": 4}},
    ),
}  # fmt: skip

PAPER = Paper(
    name="small-paper",
    title="A small paper",
    authors="A. Nobody",
    reference="an example of the tauscope documentation",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    scales=SCALES,
    measurements={"sparseness": SPARSENESS},
)

# %%
# Reproduce it
# ------------
# From the command line, with this file on Python's path:
#
# .. code-block:: bash
#
#    export PYTHONPATH=docs/examples
#    tauscope reproduce small_paper:PAPER --scale quick
#
# From Python:

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        plan = make_plan("small_paper:PAPER", "quick", Path(folder))
        results = run_plan(plan, n_processes=processors())
    for row in claim_rows(judge(PAPER, plan.scale, results)):
        print(" | ".join(cell for cell in row if cell))
    ax = progress(results).axes[0]
