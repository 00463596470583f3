"""What the command line prints on: names and texts of users are shown as they are, never read as instructions."""

from __future__ import annotations

import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from tauscope._streams import spelled


class PlainConsole(Console):
    """Standard output, on which square brackets are square brackets and colons are colons."""

    def __init__(self) -> None:
        # Tables must not be cut at the 80 columns that a pipe is taken for.
        width = None if sys.stdout.isatty() else 160
        super().__init__(file=sys.stdout, width=width, markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return text as it can be printed here, so that it is laid out with the width that it will have."""
        return super().render_str(spelled(text, self.encoding), **options)


def progress_bar(console: Console, shown: str) -> Progress:
    """Return a live bar between the description of each task and another of its fields, on a terminal alone.

    Parameters
    ----------
    console : Console
        Where to show it.
    shown : str
        The field.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn(f"{{task.fields[{shown}]}}", markup=False),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
