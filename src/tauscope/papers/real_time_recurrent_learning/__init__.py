"""Irie, Gopalakrishnan & Schmidhuber (ICLR 2024): real-time recurrent learning of element-wise networks."""

from __future__ import annotations

from tauscope.papers.real_time_recurrent_learning.claims import CLAIMS
from tauscope.papers.real_time_recurrent_learning.conditions import CONDITIONS, MEASURES, SCALES
from tauscope.papers.real_time_recurrent_learning.figures import FIGURES
from tauscope.papers.real_time_recurrent_learning.studies import STUDIES
from tauscope.papers.vocabulary import Paper

PAPER = Paper(
    name="real-time-recurrent-learning",
    title="Exploring the Promise and Limits of Real-Time Recurrent Learning",
    authors="K. Irie, A. Gopalakrishnan, J. Schmidhuber",
    reference="ICLR 2024 (arXiv 2305.19044)",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    scales=SCALES,
    studies=STUDIES,
)
