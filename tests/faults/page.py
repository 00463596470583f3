"""The page of the documentation that tells what the campaign tried and what came of it."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence

import torch

from faults.damage import NOT_NOTICED, REFUSED, SAME
from faults.tally import Tally
from tauscope._version import __version__

_HEAD = """\
# Reliability

What was done to tauscope on purpose, and what came of it. The command that did it and wrote this page,

```bash
{command}
```

takes {minutes:.0f} minutes on one processor; `make test` runs a short version of it. Nothing may be lost: a run ends
with bitwise the weights of one that nothing happened to, a finished result stays as it is, and what cannot be used is
refused in one line with exit code 2.
"""

_DAMAGE = """\
## Damaged files

A file of a run had one bit flipped, or its end cut off, at a random place, and was read.

*Refused*: the command says which file is damaged. *Read as it was*: the damage is where nothing is kept, in an archive's
header for instance. *Not noticed*: another value is read. States, networks, results and configurations have checksums.
`metrics.jsonl`, `environment.json` and `stats.npy` have none: a changed digit in them is not noticed, nor a record
that cannot be read any more, which ends the list. `tauscope status`, `report` and `reproduce` take the records for
what they say, but `report` names the line of a value that no record can have; training does not read them. When a run
is continued, `metrics.jsonl` and `stats.npy` are written anew from the state, which has all records too.
"""

_REST = """\
## What is not covered

* A power cut. Every file is flushed to the disk before it takes the place of the old one, but what a disk then does with
  it was not tried.
* Disks shared over a network, memory cards. What such a disk does not have is passed over where it is a precaution:
  bringing a file to the disk (`fsync`), putting it in place of another (then it is copied), locks. Without a lock nothing
  keeps two commands from writing to the same run: training says so (`note: … cannot be locked`) and goes on, and `status`
  shows no run as running; start one command at a time there. A disk that fails (full, read only, input/output error)
  stays a failure. The tests play such disks; none was tried.
* Other systems than Linux. The tests play a system without what Python offers on Unix alone.
* Networks that the published code wrote in the form of torch before 1.6 have no checksums; a flipped bit in their
  numbers is not noticed. Those that were published are archives, which have.
* Two faults at once in one file that make up for each other, and files made to have the right checksum: they are taken
  for what they say, but execute nothing.
* The library that reads HDF5, on files made against it. A result with a wrong checksum does not reach it.
* A sweep file is an instruction, as a command line is: a cell that it names is imported.
"""


def page(
    parts: Sequence[Tally], damaged: Sequence[tuple[Tally, Tally, Tally | None]], command: str, seconds: float
) -> str:
    """Return the page.

    Parameters
    ----------
    parts : sequence of Tally
        Of the faults.
    damaged : sequence of (Tally, Tally, Tally or None)
        Of the files: with flipped bits, cut off, and of runs continued with such a file.
    command : str
        That made them.
    seconds : float
        How long it took.
    """
    faults = [(one.fault, one.expected, one.tried, one.survived, len(one.lost)) for one in parts]
    total = sum(one.tried for one in parts)
    lost = sum(len(one.lost) for one in parts)
    here = (
        f"tauscope {__version__}, Python {platform.python_version()}, torch {torch.__version__}, {platform.system()}."
    )
    return "\n".join(
        [
            _HEAD.format(command=command, minutes=max(1, seconds / 60)),
            f"**Tried {total}, survived {total - lost}, lost {lost}.** {here}",
            "",
            *_table(("Fault", "Expected", "Tried", "Survived", "Lost"), faults),
            "Further counts:",
            "",
            *_further(parts),
            _DAMAGE,
            *_table(("File", "Damage", "Tried", "Refused", "Read as it was", "Not noticed"), _damage_rows(damaged)),
            _REST,
        ]
    )


def _further(parts: Sequence[Tally]) -> Iterable[str]:
    for one in parts:
        if one.counts:
            counted = "; ".join(f"{what}: {n}" for what, n in one.counts.items())
            yield f"* {one.fault}: {counted}."
    yield ""


def _damage_rows(damaged: Sequence[tuple[Tally, Tally, Tally | None]]) -> Iterable[tuple[object, ...]]:
    for flipped, cut, continued in damaged:
        for what, one in (("flipped bit", flipped), ("cut off", cut), ("either, run continued", continued)):
            if one is not None:
                counts = (one.counts.get(came, 0) for came in (REFUSED, SAME, NOT_NOTICED))
                yield (flipped.fault, what, one.tried, *counts)


def _table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterable[str]:
    """Yield the lines of a table."""
    for row in (heading, ["---"] * len(heading), *rows):
        yield f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in row)} |"
    yield ""
