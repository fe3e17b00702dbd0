"""Self-contained HTML reports, and the kit that every page is composed of.

`write_run_report` turns run records into one page. Pages of another kind are composed from the same
parts: `Page`, `Section`, `Figure`, `Note`, `Terms`, `Details` and `Table`. Figures come from plain
series (`Line`, `Point`, `Axis`) by `line_figure`, `row_figure` and `scatter_figure`; terms from one
glossary; numbers are written by one formatter. Tables also render as Markdown and CSV, so that
every number exists once.
"""

from counterpoise.report.compose import line_figure, row_figure, scatter_figure
from counterpoise.report.figure import Figure, Panel
from counterpoise.report.formats import Format
from counterpoise.report.glossary import GLOSSARY, terms
from counterpoise.report.history import write_log_report
from counterpoise.report.metric import ACCURACY, Metric, metric_of
from counterpoise.report.page import Details, Note, Page, Part, Section, Terms
from counterpoise.report.runs import run_page, run_table, write_run_report
from counterpoise.report.series import Axis, Level, Line, Look, Point, looks_of
from counterpoise.report.table import Column, Table

__all__ = [
    "ACCURACY",
    "GLOSSARY",
    "Axis",
    "Column",
    "Details",
    "Figure",
    "Format",
    "Level",
    "Line",
    "Look",
    "Metric",
    "Note",
    "Page",
    "Panel",
    "Part",
    "Point",
    "Section",
    "Table",
    "Terms",
    "line_figure",
    "looks_of",
    "metric_of",
    "row_figure",
    "run_page",
    "run_table",
    "scatter_figure",
    "terms",
    "write_log_report",
    "write_run_report",
]
