"""Tumma, Lechner, Loo, Hasani & Rus (ICLR 2024): are clones with low-rank, sparse recurrent weights more robust in the closed loop?"""

from __future__ import annotations

from tauscope.papers.closed_loop_control.claims import CLAIMS
from tauscope.papers.closed_loop_control.conditions import CONDITIONS, MEASURES, SCALES
from tauscope.papers.closed_loop_control.figures import FIGURES
from tauscope.papers.closed_loop_control.studies import STUDIES
from tauscope.papers.vocabulary import Paper

PAPER = Paper(
    name="closed-loop-control",
    title="Leveraging Low-Rank and Sparse Recurrent Connectivity for Robust Closed-Loop Control",
    authors="N. Tumma, M. Lechner, N. Loo, R. Hasani, D. Rus",
    reference="ICLR 2024 (arXiv 2310.03915)",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    scales=SCALES,
    studies=STUDIES,
)
