"""The documentation says of the studies what their reports say: ``benchmarks/study_pages.py``."""

import importlib.util
from pathlib import Path

PATH = Path(__file__).parents[3] / "benchmarks" / "study_pages.py"


def test_the_documentation_has_the_words_of_the_reports():
    spec = importlib.util.spec_from_file_location("study_pages", PATH)
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    assert pages.sections() in pages.PAGE.read_text("utf-8")
    for name in pages.STUDIES:
        assert (pages.folder(name) / "figure-1.svg").is_file()
