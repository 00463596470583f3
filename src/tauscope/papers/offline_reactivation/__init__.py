"""Krishna, Bredenberg, Levenstein, Richards & Lajoie (ICLR 2024): noisy networks that replay what they integrate."""

from __future__ import annotations

from tauscope.papers.offline_reactivation.claims import CLAIMS
from tauscope.papers.offline_reactivation.conditions import CONDITIONS, MEASURES, SCALES
from tauscope.papers.offline_reactivation.figures import ANIMATIONS, FIGURES
from tauscope.papers.offline_reactivation.quantities import MEASUREMENTS
from tauscope.papers.vocabulary import Paper

PAPER = Paper(
    name="offline-reactivation",
    title="Sufficient conditions for offline reactivation in recurrent neural networks",
    authors="N. H. Krishna, C. Bredenberg, D. Levenstein, B. A. Richards, G. Lajoie",
    reference="ICLR 2024 (arXiv 2505.17003)",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    animations=ANIMATIONS,
    scales=SCALES,
    measurements=MEASUREMENTS,
)
