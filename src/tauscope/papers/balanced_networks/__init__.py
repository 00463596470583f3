"""Engelken & Goedeke (NeurIPS 2022): tracking signals makes networks tightly balanced, and breaks them up."""

from __future__ import annotations

from tauscope.papers.balanced_networks.claims import CLAIMS
from tauscope.papers.balanced_networks.conditions import CONDITIONS, MEASURES, SCALES
from tauscope.papers.balanced_networks.figures import ANIMATIONS, FIGURES
from tauscope.papers.balanced_networks.quantities import MEASUREMENTS
from tauscope.papers.vocabulary import Paper

PAPER = Paper(
    name="balanced-networks",
    title="A time-resolved theory of information encoding in recurrent neural networks",
    authors="R. Engelken, S. Goedeke",
    reference="NeurIPS 2022",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    animations=ANIMATIONS,
    scales=SCALES,
    measurements=MEASUREMENTS,
)
