"""Results to one self-contained HTML page."""

from tauscope.report.page import GENERATOR, report_page

__all__ = ["GENERATOR", "report_page"]
