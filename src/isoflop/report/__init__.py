"""What is shown: sentences, tables, HTML."""

from typing import TYPE_CHECKING

from isoflop._lazy import face

if TYPE_CHECKING:
    from isoflop.report.findings import headline_markdown, headlines
    from isoflop.report.finished import finished, recorded_config
    from isoflop.report.html import render
    from isoflop.report.html_table import Cell, HtmlTable, markdown
    from isoflop.report.lookup import Tables
    from isoflop.report.paper_tables import table1, table3, table4
    from isoflop.report.spec import Headline, ReportSpec

__all__ = [
    "Cell",
    "Headline",
    "HtmlTable",
    "ReportSpec",
    "Tables",
    "finished",
    "headline_markdown",
    "headlines",
    "markdown",
    "recorded_config",
    "render",
    "table1",
    "table3",
    "table4",
]

face(__name__)
