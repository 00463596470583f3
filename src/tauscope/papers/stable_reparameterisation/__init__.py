"""Wang, Li & Li (ICLR 2024) and Wang & Li (ICML 2024): how a timescale should be parametrised to learn a long memory stably."""

from __future__ import annotations

from tauscope.papers.stable_reparameterisation.claims import CLAIMS
from tauscope.papers.stable_reparameterisation.conditions import CONDITIONS, MEASURES, SCALES
from tauscope.papers.stable_reparameterisation.figures import FIGURES
from tauscope.papers.stable_reparameterisation.quantities import MEASUREMENTS, STUDIES
from tauscope.papers.vocabulary import Paper

PAPER = Paper(
    name="stable-reparameterisation",
    title="Inverse Approximation Theory for Nonlinear Recurrent Neural Networks; StableSSM: Alleviating the Curse of Memory in "
    "State-space Models through Stable Reparameterization",
    authors="S. Wang, Z. Li, Q. Li; S. Wang, Q. Li",
    reference="ICLR 2024 (arXiv 2305.19190); ICML 2024 (arXiv 2311.14495)",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    scales=SCALES,
    measurements=MEASUREMENTS,
    studies=STUDIES,
)
