"""Self-contained HTML pages of results."""

from typing import TYPE_CHECKING

from tauscope._lazy import exports

if TYPE_CHECKING:
    from tauscope.report.comparison import comparison_page
    from tauscope.report.page import report_page
else:
    __getattr__, __dir__ = exports(
        __name__,
        {"tauscope.report.comparison": ("comparison_page",), "tauscope.report.page": ("report_page",)},
    )

__all__ = ["COMPARISON_GENERATOR", "GENERATOR", "UNDRAWN", "comparison_page", "report_page"]

GENERATOR, COMPARISON_GENERATOR = "tauscope report", "tauscope compare"
"""Names of the programs in the ``generator`` tag of the pages of a run and of a comparison."""

UNDRAWN = 'class="undrawn"'
"""Stands in a page for every figure that could not be drawn; text in it is escaped and cannot hold it."""
