"""Karuvally, Sejnowski & Siegelmann (ICML 2024): networks that repeat a history hold it as travelling waves."""

from __future__ import annotations

from tauscope.papers.travelling_waves.claims import CLAIMS
from tauscope.papers.travelling_waves.conditions import CONDITIONS, MEASURES, SCALES
from tauscope.papers.travelling_waves.figures import ANIMATIONS, FIGURES
from tauscope.papers.travelling_waves.quantities import MEASUREMENTS, STUDIES
from tauscope.papers.vocabulary import Paper

PAPER = Paper(
    name="travelling-waves",
    title="Hidden Traveling Waves bind Working Memory Variables in Recurrent Neural Networks",
    authors="A. Karuvally, T. J. Sejnowski, H. T. Siegelmann",
    reference="ICML 2024 (arXiv 2402.10163)",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    animations=ANIMATIONS,
    scales=SCALES,
    measurements=MEASUREMENTS,
    studies=STUDIES,
)
