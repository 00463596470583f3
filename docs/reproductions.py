"""The papers that were reproduced, from what ``tauscope reproduce`` left in ``results/``.

``python docs/reproductions.py`` writes their table into README.md, and that of one paper's claims, each between the two comments
that name it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tauscope.papers import PAPERS, paper

DOCS = Path(__file__).parent
README = DOCS.parent / "README.md"

IN_DETAIL = "emergent-timescales"
"""The paper whose claims are in README.md."""

LARGER = "standard"
"""Scale whose results lie in a folder of this name, in the folder of the scale ``quick``."""

_BLOCK = r"(<!-- {0}: [^\n]*-->\n).*?(<!-- end of {0} -->)"


@dataclass(frozen=True)
class Reproduction:
    """A paper and what its committed reproduction came to.

    Attributes
    ----------
    name, title, citation : str
        As in ``tauscope reproduce NAME``; who wrote it, and where it is published.
    scale : str
        The largest one whose results are committed.
    picture : str
        Path of a figure, relative to ``docs/``.
    verdicts : dict of int
        How many claims there are of each verdict, those that hold first.
    """

    name: str
    title: str
    citation: str
    scale: str
    picture: str
    verdicts: dict[str, int]

    @property
    def page(self) -> str:
        """Return the name of its page, without an ending."""
        return self.name.replace("-", "_")

    @property
    def score(self) -> str:
        """Return the count of verdicts in words."""
        words = {"holds": "hold", "does not hold": "do not hold"}
        counts = [
            f"{number} {verdict if number == 1 else words.get(verdict, verdict)}"
            for verdict, number in self.verdicts.items()
        ]
        return f"scale {self.scale}: of {sum(self.verdicts.values())} claims {', '.join(counts)}"


def reproductions() -> list[Reproduction]:
    """Return all papers with results, in the order of `PAPERS`."""
    found = [path.parent.name for path in (DOCS / "results").glob("*/claims.json")]
    return [_reproduction(name) for name in PAPERS if name in found]


def results_of(name: str) -> Path:
    """Return the folder with the results of a paper at the largest scale that is committed."""
    folder = DOCS / "results" / name
    return folder / LARGER if (folder / LARGER).is_dir() else folder


def _reproduction(name: str) -> Reproduction:
    folder = results_of(name)
    kept = json.loads((folder / "claims.json").read_text())
    drawn = [figure.name for figure in paper(name).figures if (folder / f"{figure.name}.png").exists()]
    verdicts = Counter(claim["verdict"] for claim in kept["claims"])
    ordered = {verdict: verdicts[verdict] for verdict in sorted(verdicts, key=lambda verdict: verdict != "holds")}
    return Reproduction(
        name,
        kept["title"],
        f"{kept['authors']}, {kept['reference']}",
        kept["scale"],
        (folder / f"{drawn[0]}.png").relative_to(DOCS).as_posix(),
        ordered,
    )


def readme_table() -> str:
    """Return the table of papers in Markdown."""
    rows = ["| | paper | our reproduction |", "|---|---|---|"]
    for entry in reproductions():
        page = f"docs/{entry.page}.rst"
        rows.append(
            f"| <a href='{page}'><img src='docs/{entry.picture}' width='140' alt='A figure of {entry.name}'></a> "
            f"| [**{entry.name}**]({page})<br>{entry.title}<br>{entry.citation} | {entry.score} |"
        )
    return "\n".join(rows)


def claims_table(name: str = IN_DETAIL) -> str:
    """Return the table of a paper's claims in Markdown: of each the first inequality that was judged, and the verdict."""
    kept = json.loads((results_of(name) / "claims.json").read_text())
    rows = [
        "| claim | the first inequality that was judged: ours (mean ± STD over networks) | verdict |",
        "|---|---|---|",
    ]
    for claim in kept["claims"]:
        judged = [finding for finding in claim["findings"] if finding["verdict"] != "not judged"]
        first = f"{judged[0]['statement']}: {judged[0]['ours']}" if judged else claim["reason"]
        holding = sum(finding["verdict"] == "holds" for finding in judged)
        count = "" if claim["verdict"] == "holds" or not judged else f" ({holding} of {len(claim['findings'])} hold)"
        rows.append(f"| **{claim['key']}** {claim['statement']} | {first} | {claim['verdict']}{count} |")
    return "\n".join(rows)


def with_tables(readme: str) -> str:
    """Return the text of README.md with the tables as they should be."""
    for name, table in (("papers", readme_table()), ("claims", claims_table())):
        block = re.compile(_BLOCK.format(name), re.DOTALL)
        readme = block.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", readme)
    return readme


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text()))
