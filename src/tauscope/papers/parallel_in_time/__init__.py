"""Lim, Zhu, Selfridge & Kasim (ICLR 2024): nonlinear recurrences solved for all steps at once."""

from __future__ import annotations

from tauscope.papers.parallel_in_time.claims import CLAIMS
from tauscope.papers.parallel_in_time.conditions import CONDITIONS, MEASURES, SCALES
from tauscope.papers.parallel_in_time.figures import FIGURES
from tauscope.papers.parallel_in_time.studies import STUDIES
from tauscope.papers.vocabulary import Paper

PAPER = Paper(
    name="parallel-in-time",
    title="Parallelizing non-linear sequential models over the sequence length",
    authors="Y. H. Lim, Q. Zhu, J. Selfridge, M. F. Kasim",
    reference="ICLR 2024 (arXiv 2309.12252)",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    scales=SCALES,
    studies=STUDIES,
)
