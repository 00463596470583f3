"""What the command line makes of errors that nobody foresaw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tauscope.cli import main, status


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    "command",
    [
        failing(MemoryError()),
        lambda *_: np.empty(1 << 56),
        lambda *_: torch.empty(1 << 56),
        failing(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")),
    ],
    ids=["python", "numpy", "cpu", "gpu"],
)
def test_a_lack_of_memory_is_one_line(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(status, "run", command)
    assert main(["status"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tauscope: error: not enough memory: ")


@pytest.mark.parametrize(
    "text",
    [
        "required rank 4 tensor to use channels_last memory format",
        "unsupported operation: some elements of the input tensor refer to a single memory location",
        "shared memory segment is damaged",
    ],
)
def test_an_error_that_only_speaks_of_memory_keeps_its_traceback(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "run", failing(RuntimeError(text)))
    with pytest.raises(RuntimeError, match=text):
        main(["status"])
