"""What every test shares: torch's global settings must survive it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tauscope.cli import main

# The networks of the tests are small: a second thread only waits, and on a busy machine it waits long. The variable
# reaches the processes that tests start.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

# A shell in the background, and nohup, let a process and its children ignore these; the commands respect that, and tests send
# them.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference"


def _globals() -> tuple[object, ...]:
    return (torch.get_rng_state().tolist(), torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled())


@pytest.fixture(autouse=True)
def torch_globals_unchanged() -> Iterator[None]:
    before = _globals()
    yield
    assert _globals() == before, "the test changed torch's global generator, default dtype, threads or grad mode"


@pytest.fixture(scope="session")
def tiny_reproduction(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny paper, reproduced by the command: its runs, and its results in ``results``; not to be changed."""
    base = tmp_path_factory.mktemp("reproductions") / "tiny"
    assert main(["reproduce", "tiny_paper:PAPER", "-b", str(base), "--jobs", "2"]) == 0
    return base


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def reference() -> Path:
    if not REFERENCE.is_dir():
        pytest.skip("the published checkpoints are not beside this checkout (../shared/reference)")
    return REFERENCE
