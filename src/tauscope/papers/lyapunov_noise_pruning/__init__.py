"""Chakraborty, Kang, Kumar & Mukhopadhyay (ICLR 2024): spiking networks pruned by their dynamics, before training and without a task."""

from __future__ import annotations

from tauscope.papers.lyapunov_noise_pruning.claims import CLAIMS
from tauscope.papers.lyapunov_noise_pruning.conditions import CONDITIONS, MEASURES, SCALES
from tauscope.papers.lyapunov_noise_pruning.figures import FIGURES
from tauscope.papers.lyapunov_noise_pruning.studies import STUDIES
from tauscope.papers.vocabulary import Paper

PAPER = Paper(
    name="lyapunov-noise-pruning",
    title="Sparse Spiking Neural Network: Exploiting Heterogeneity in Timescales for Pruning Recurrent SNN",
    authors="B. Chakraborty, B. Kang, H. Kumar, S. Mukhopadhyay",
    reference="ICLR 2024 (arXiv 2403.03409)",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    scales=SCALES,
    studies=STUDIES,
)
