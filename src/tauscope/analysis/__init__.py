"""How a network remembers: one file per measurement, each a pure function."""

from tauscope.analysis.accuracy import evaluate
from tauscope.analysis.balance import balance, input_balance
from tauscope.analysis.closed_loop import closed_loop
from tauscope.analysis.connectivity import connectivity
from tauscope.analysis.credit import credit
from tauscope.analysis.dimensionality import dimensionality
from tauscope.analysis.drives import drives
from tauscope.analysis.exponential_fits import fit_exponentials
from tauscope.analysis.fit_quality import is_described, with_goodness
from tauscope.analysis.fixed_points import fixed_points
from tauscope.analysis.gates import gate_timescales
from tauscope.analysis.generalisation import generalise
from tauscope.analysis.gradient_decay import gradient_decay
from tauscope.analysis.gradients import gradient_over_weight
from tauscope.analysis.information import information, information_rate, linear_information_rate
from tauscope.analysis.interventions import Protocol, ablation, perturbation
from tauscope.analysis.language import bits_per_character
from tauscope.analysis.linearisation import linearise
from tauscope.analysis.lyapunov import lyapunov
from tauscope.analysis.memory_function import memory_function
from tauscope.analysis.modes import modes
from tauscope.analysis.node_exponents import node_exponents
from tauscope.analysis.parallelizability import parallelizability, trial_parallelizability
from tauscope.analysis.performance import performance, scores
from tauscope.analysis.perturbation_error import perturbation_error
from tauscope.analysis.pruned import pruning_curves
from tauscope.analysis.pruning import LyapunovNoise, prune
from tauscope.analysis.pruning_rules import (
    betweenness,
    delocalise,
    inverse_participation,
    lyapunov_matrix,
    noise_probabilities,
)
from tauscope.analysis.reactivation import reactivation
from tauscope.analysis.recorded import bin_spikes, timescales_of
from tauscope.analysis.resolution import resolution
from tauscope.analysis.response import response_time
from tauscope.analysis.ridge import fit_readout
from tauscope.analysis.second_order import character_matrices, effective_rank, rank_truncation
from tauscope.analysis.sequentiality import (
    peak_order,
    sequentiality,
    sequentiality_index,
    task_states,
    weights_by_peak_difference,
)
from tauscope.analysis.silence import Decoder
from tauscope.analysis.similarity import dynamical_similarity
from tauscope.analysis.subnetworks import alignment, subnetworks
from tauscope.analysis.timescales import timescales, timescales_summary
from tauscope.analysis.transforms import ablate, freeze_tau, perturb
from tauscope.analysis.travelling_waves import travelling_waves
from tauscope.analysis.trials import trial_dimensionality, trial_gate_timescales, trial_lyapunov, trial_timescales
from tauscope.analysis.untrained import information_against_balance
from tauscope.analysis.wave_basis import readout_basis
from tauscope.analysis.wave_operator import embedding, wave_operator
from tauscope.analysis.wave_spectrum import wave_spectrum

__all__ = [
    "Decoder",
    "LyapunovNoise",
    "Protocol",
    "ablate",
    "ablation",
    "alignment",
    "balance",
    "betweenness",
    "bin_spikes",
    "bits_per_character",
    "character_matrices",
    "closed_loop",
    "connectivity",
    "credit",
    "delocalise",
    "dimensionality",
    "drives",
    "dynamical_similarity",
    "effective_rank",
    "embedding",
    "evaluate",
    "fit_exponentials",
    "fit_readout",
    "fixed_points",
    "freeze_tau",
    "gate_timescales",
    "generalise",
    "gradient_decay",
    "gradient_over_weight",
    "information",
    "information_against_balance",
    "information_rate",
    "input_balance",
    "inverse_participation",
    "is_described",
    "linear_information_rate",
    "linearise",
    "lyapunov",
    "lyapunov_matrix",
    "memory_function",
    "modes",
    "node_exponents",
    "noise_probabilities",
    "parallelizability",
    "peak_order",
    "performance",
    "perturb",
    "perturbation",
    "perturbation_error",
    "prune",
    "pruning_curves",
    "rank_truncation",
    "reactivation",
    "readout_basis",
    "resolution",
    "response_time",
    "scores",
    "sequentiality",
    "sequentiality_index",
    "subnetworks",
    "task_states",
    "timescales",
    "timescales_of",
    "timescales_summary",
    "travelling_waves",
    "trial_dimensionality",
    "trial_gate_timescales",
    "trial_lyapunov",
    "trial_parallelizability",
    "trial_timescales",
    "wave_operator",
    "wave_spectrum",
    "weights_by_peak_difference",
    "with_goodness",
]
