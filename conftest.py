"""The examples of README.md and of docs/ are tests: each page is one namespace, top to bottom."""

from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md", "docs/data/*.md", "docs/walks/*.md"],
).pytest()
