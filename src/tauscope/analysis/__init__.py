"""How a network remembers: one file per measurement, each a pure function."""

from tauscope.analysis.accuracy import evaluate
from tauscope.analysis.connectivity import connectivity
from tauscope.analysis.dimensionality import dimensionality
from tauscope.analysis.exponential_fits import fit_exponentials
from tauscope.analysis.gates import gate_timescales
from tauscope.analysis.generalisation import generalise
from tauscope.analysis.interventions import Protocol, ablation, perturbation
from tauscope.analysis.lyapunov import lyapunov
from tauscope.analysis.resolution import resolution
from tauscope.analysis.retraining import forgetting, retrain
from tauscope.analysis.sequentiality import (
    peak_order,
    sequentiality,
    sequentiality_index,
    task_states,
    weights_by_peak_difference,
)
from tauscope.analysis.timescales import timescales, timescales_summary
from tauscope.analysis.transforms import ablate, freeze_tau, perturb

__all__ = [
    "Protocol",
    "ablate",
    "ablation",
    "connectivity",
    "dimensionality",
    "evaluate",
    "fit_exponentials",
    "forgetting",
    "freeze_tau",
    "gate_timescales",
    "generalise",
    "lyapunov",
    "peak_order",
    "perturb",
    "perturbation",
    "resolution",
    "retrain",
    "sequentiality",
    "sequentiality_index",
    "task_states",
    "timescales",
    "timescales_summary",
    "weights_by_peak_difference",
]
