"""Results to one self-contained HTML page."""

from tauscope.report.page import ANALYSIS, GENERATOR, report_page

__all__ = ["ANALYSIS", "GENERATOR", "report_page"]
