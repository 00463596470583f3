"""Lizaire, Rizvi-Martel, Gamal & Rabusseau (ICML 2024): second-order networks and the rank of their tensor."""

from __future__ import annotations

from tauscope.papers.second_order_rnns.claims import CLAIMS
from tauscope.papers.second_order_rnns.conditions import CONDITIONS, MEASURES, SCALES
from tauscope.papers.second_order_rnns.figures import FIGURES
from tauscope.papers.second_order_rnns.quantities import MEASUREMENTS
from tauscope.papers.vocabulary import Paper

PAPER = Paper(
    name="second-order-rnns",
    title="A Tensor Decomposition Perspective on Second-order RNNs",
    authors="M. Lizaire, M. Rizvi-Martel, M. Gamal, G. Rabusseau",
    reference="ICML 2024 (arXiv 2406.05045)",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    scales=SCALES,
    measurements=MEASUREMENTS,
)
