"""The parts of a page: embedded pictures, tables, relative links to files, and problems."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread

from tauscope.jobs.pool import reason


@dataclass(frozen=True)
class Picture:
    """A PNG inside the page.

    Attributes
    ----------
    source : str
        ``data:`` address; empty where it could not be drawn.
    width, height : int
        Size in pixels.
    alt, caption : str
        Text in place of the picture for readers who cannot see it, and text under the picture.
    """

    source: str
    width: int
    height: int
    alt: str
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of text under a heading; the first column names the row."""

    heading: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Link:
    """A file's name and, where a link can reach it, its address relative to the page."""

    name: str
    address: str | None


@dataclass(frozen=True)
class Problem:
    """A file that could not be shown, and why; also a result of which a figure could not be drawn."""

    file: str
    reason: str
    undrawn: bool = False


def render(template: str, **content: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        File beside this module.
    **content
        Variables of the template: text, never markup.

    Examples
    --------
    >>> render("macros.html").strip()
    ''
    """
    environment = Environment(
        loader=PackageLoader("tauscope", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**content)


def picture(content: bytes, alt: str, caption: str) -> Picture | None:
    """Return an image for the page, or ``None`` if it is not an intact PNG.

    Examples
    --------
    >>> picture(b"torn", "", "") is None
    True
    """
    try:
        height, width = imread(io.BytesIO(content), format="png").shape[:2]
    except Exception:  # decoders raise many kinds of errors on damaged images
        return None
    return Picture(f"data:image/png;base64,{base64.b64encode(content).decode()}", width, height, alt, caption)


def rendered(ax: Axes, alt: str, caption: str) -> Picture:
    """Return the figure of these axes as an image for the page.

    Examples
    --------
    >>> from tauscope.plotting.style import new_axes
    >>> rendered(new_axes(), "nothing", "An empty figure.").width
    680
    """
    content = io.BytesIO()
    cast(Figure, ax.figure).savefig(content, format="png", dpi=200, metadata={"Software": None})
    return cast(Picture, picture(content.getvalue(), alt, caption))


def drawn(draw: Callable[[], Axes], alt: str, caption: str) -> Picture:
    """Return a figure as an image for the page, or in its place what kept it from being drawn.

    Examples
    --------
    >>> drawn(lambda: 1 / 0, "nothing", "An empty figure.").caption.partition(" (")[0]
    'An empty figure. It cannot be drawn: ZeroDivisionError: division by zero'
    """
    try:
        return rendered(draw(), alt, caption)
    except Exception as error:  # fonts, TeX, a backend or a figure function can fail in any way; the page goes on
        return Picture("", 0, 0, alt, f"{caption} It cannot be drawn: {reason(error)}")


def link(path: Path, page: Path) -> Link:
    """Return a link from a page to a file.

    Parameters
    ----------
    path : Path
        Absolute path of the file.
    page : Path
        Absolute path of the page's folder.

    Returns
    -------
    Link
        The link; without an address if file and page share only the root of the file system, because the address
        would show the folders of this machine and hold on no other.

    Examples
    --------
    >>> link(Path("/runs/1/analysis/a b.nc"), Path("/runs/1")).address
    'analysis/a%20b.nc'
    >>> link(Path("/runs/1/analysis/a.nc"), Path("/elsewhere")).address is None
    True
    """
    if os.path.commonpath([path, page]) == os.sep:
        return Link(path.name, None)
    return Link(path.name, quote(os.fsencode(os.path.relpath(path, page))))


def problem(path: Path, error: Exception, *folders: Path) -> Problem:
    """Return the problem of a file, without the paths of its folder and of further folders on this machine.

    Examples
    --------
    >>> problem(Path("/runs/1/a.nc"), ValueError("/runs/1/a.nc is damaged: no signature"))
    Problem(file='a.nc', reason='is damaged: no signature', undrawn=False)
    """
    text = " ".join(str(error).split())
    for folder in (path.parent, *folders):
        text = text.replace(f"{folder}{os.sep}", "").replace(str(folder), folder.name)
    return Problem(path.name, text.removeprefix(path.name).lstrip(" :") or type(error).__name__)
