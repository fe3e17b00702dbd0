"""Self-contained HTML reports, and the parts they are composed of.

`write_run_report` turns run records into one page. Pages of another kind are composed from the same
parts: `Page`, `Section`, `Figure`, `Note`, `Terms`, `Details` and `Table`, the last of which also
renders as Markdown and CSV, so that every number exists once.
"""

from counterpoise.report.page import Details, Figure, Note, Page, Part, Section, Terms
from counterpoise.report.runs import run_page, run_table, write_run_report
from counterpoise.report.table import Column, Table

__all__ = [
    "Column",
    "Details",
    "Figure",
    "Note",
    "Page",
    "Part",
    "Section",
    "Table",
    "Terms",
    "run_page",
    "run_table",
    "write_run_report",
]
