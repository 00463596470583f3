"""What a part of the campaign came to."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Tally:
    """Counts of one kind of fault.

    Attributes
    ----------
    fault : str
        What was done, in words.
    expected : str
        What has to come of it.
    tried : int
        How many times.
    lost : list of str
        What went wrong, one entry a time that it did.
    counts : dict of int
        How often what came of it, by its name.
    """

    fault: str
    expected: str
    tried: int = 0
    lost: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def survived(self) -> int:
        return self.tried - len(self.lost)

    def count(self, what: str, n: int = 1) -> None:
        """Count something that happened."""
        self.counts[what] = self.counts.get(what, 0) + n

    def judge(self, fine: bool, problem: object) -> None:
        """Take down one more try."""
        self.tried += 1
        if not fine:
            self.lost.append(" ".join(str(problem).split())[:400])
