"""Orhan & Ma (Nature Neuroscience 2019): what makes the memory of a network sequential or persistent."""

from __future__ import annotations

from tauscope.papers.recurrent_memory.claims import CLAIMS
from tauscope.papers.recurrent_memory.conditions import CONDITIONS, MEASURES, SCALES
from tauscope.papers.recurrent_memory.figures import FIGURES
from tauscope.papers.recurrent_memory.quantities import MEASUREMENTS
from tauscope.papers.vocabulary import Paper

PAPER = Paper(
    name="recurrent-memory",
    title="A diverse range of factors affect the nature of neural representations underlying short-term memory",
    authors="A. E. Orhan, W. J. Ma",
    reference="Nature Neuroscience 22, 275-283 (2019), https://doi.org/10.1038/s41593-018-0314-y",
    conditions=CONDITIONS,
    measures=MEASURES,
    claims=CLAIMS,
    figures=FIGURES,
    scales=SCALES,
    measurements=MEASUREMENTS,
)
