"""``python -m faults``: the campaign; writes ``docs/reliability.md``."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from faults import crafted, damage, disks, hostile, inputs, kills
from faults.page import page
from faults.server import Server
from faults.tally import Tally

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
CONTINUED = {
    "`config.json`": "config.json",
    "`environment.json`": "environment.json",
    "`metrics.jsonl`": "metrics.jsonl",
    "`stats.npy`": "stats.npy",
}


class Campaign:
    """All parts of the campaign, in a folder of its own.

    Parameters
    ----------
    server : Server
        Runs commands.
    base : Path
        Folder for everything.
    scale : float
        1 for the whole campaign, less for a part of each part.
    seed : int
        Of all that is drawn.
    mounts : bool
        Whether disks can be mounted.
    """

    def __init__(self, server: Server, base: Path, scale: float, seed: int, mounts: bool) -> None:
        self.server, self.base, self.scale, self.seed, self.mounts = server, base, scale, seed, mounts
        self.draw = random.Random(seed)
        self._n = 0

    def folder(self) -> Path:
        """Return a new folder."""
        self._n += 1
        made = self.base / str(self._n)
        made.mkdir()
        return made / "files"

    def n(self, whole: int) -> int:
        """Return how often something is done."""
        return max(1, round(self.scale * whole))

    def parts(self) -> dict[str, Callable[[], list[Tally]]]:
        """Return the parts by their names."""
        return {
            "kills": self._kills,
            "folders": self._folders,
            "disks": self._disks,
            "states": self._states,
            "hostile": self._hostile,
            "inputs": self._inputs,
        }

    def _kills(self) -> list[Tally]:
        kinds = self.draw.sample(kinds := kills.conditions(), self.n(len(kinds)))
        return [
            kills.kill(self.server, self.folder(), kinds, 3, self.draw),
            kills.kill_program(self.server, self.folder(), self.n(10), self.draw),
        ]

    def _folders(self) -> list[Tally]:
        elsewhere = Path("/dev/shm") if Path("/dev/shm").is_dir() else self.base
        kinds = self.draw.sample(kills.conditions(), self.n(10))
        with tempfile.TemporaryDirectory(dir=elsewhere) as far:
            moved = kills.move(self.server, self.folder(), kinds, Path(far), self.draw)
        return [kills.contend(self.server, self.folder(), self.n(30), self.draw), moved]

    def _disks(self) -> list[Tally]:
        writers = self.draw.sample(disks.WRITERS, self.n(len(disks.WRITERS)))
        tallies = [
            disks.fill(self.server, self.folder(), writers, 10, self.draw),
            disks.forbid(self.server, self.folder(), writers, disks.sealed),
        ]
        if self.mounts:
            mounted = disks.forbid(self.server, self.folder(), writers, disks.read_only)
            mounted.fault = "folder on a disk that is mounted to be read only, for every writer"
            tallies += [mounted, disks.outgrow(self.server, self.folder(), self.n(30), self.draw)]
        return tallies

    def _states(self) -> list[Tally]:
        made = damage.specimen(self.server, self.folder())
        return [
            damage.harm_states(self.server, self.folder(), made, self.n(400), self.draw),
            damage.harm_all_states(self.server, self.folder(), made, self.n(50), self.draw),
        ]

    def _hostile(self) -> list[Tally]:
        made = damage.specimen(self.server, self.folder())
        judge = hostile.Judge(self.server, self.base / "executed")
        return [
            hostile.try_networks(judge, self.folder()),
            hostile.try_states(judge, self.folder(), made),
            hostile.try_results(judge, self.folder(), made),
            hostile.try_statistics(judge, self.folder(), made),
            hostile.try_texts(judge, self.folder(), made, "config.json", crafted.configurations()),
            hostile.try_texts(judge, self.folder(), made, "metrics.jsonl", crafted.records()),
            hostile.try_texts(judge, self.folder(), made, "environment.json", crafted.environments()),
            hostile.try_plans(judge, self.folder(), made),
            hostile.try_sweeps(judge, self.folder()),
        ]

    def _inputs(self) -> list[Tally]:
        base = self.folder()
        inputs.make_folders(base)
        shares = {"lines": 5000, "configurations": 3000, "sweeps": 2000}
        return [inputs.explore(base, kind, self.n(share), self.seed) for kind, share in shares.items()]

    def files(self) -> list[tuple[Tally, Tally, Tally | None]]:
        """Damage every kind of file."""
        made = damage.specimen(self.server, self.folder())
        found = []
        for kind in damage.READERS:
            flipped, cut = (
                damage.harm_file(made, kind, self.n(2000), self.draw, cut=is_cut) for is_cut in (False, True)
            )
            name = CONTINUED.get(kind)
            continued = (
                damage.continue_with(self.server, self.folder(), made, name, self.n(50), self.draw) if name else None
            )
            found.append((flipped, cut, continued))
        return found


def main() -> int:
    """Run the campaign and return 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m faults", description="Faults on purpose.")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the campaign, e.g. 0.1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="these parts alone; no page is written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console, start = Console(width=160), time.monotonic()
    mounts = disks.private_mounts()
    with tempfile.TemporaryDirectory() as base, Server() as server:
        campaign = Campaign(server, Path(base), options.scale, options.seed, mounts)
        tallies: list[Tally] = []
        for name, part in campaign.parts().items():
            if options.only is None or name in options.only:
                tallies += part()
                print(f"{name}: {time.monotonic() - start:.0f} s", flush=True)
        files = campaign.files() if options.only is None or "files" in options.only else []
    judged = [*tallies, *(one for three in files for one in three if one is not None)]
    _print(judged, console)
    if options.only is None and options.scale == 1:
        PAGE.write_text(page(tallies, files, "make test-faults", time.monotonic() - start))
        print(f"wrote {PAGE}")
    return 1 if any(one.lost for one in judged) else 0


def _print(tallies: list[Tally], console: Console) -> None:
    table = Table("fault", "tried", "survived", "lost", "counts")
    for one in tallies:
        counts = ", ".join(f"{what} {n}" for what, n in one.counts.items())
        table.add_row(one.fault, str(one.tried), str(one.survived), str(len(one.lost)), counts)
    console.print(table)
    for one in tallies:
        for problem in one.lost:
            console.print(f"LOST {one.fault}: {problem}", highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
