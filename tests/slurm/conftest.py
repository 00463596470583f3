"""A real SLURM for the tests of this folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.cluster import Cluster, lacking


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster that this process and all that it starts talk to."""
    if why := lacking():
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    before = os.environ.get("SLURM_CONF")
    one = Cluster(folder)
    os.environ["SLURM_CONF"] = str(one.conf)
    try:
        one.up()
        yield one
    finally:
        one.down()
        shutil.rmtree(folder)
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before


@pytest.fixture(autouse=True)
def _empty_queue(cluster: Cluster) -> Iterator[None]:
    """Leave no job to the next test."""
    yield
    cluster.clear()
