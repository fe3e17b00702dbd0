"""The examples of README.md and of docs/ are tests: each page is one namespace, top to bottom."""

import gc
import os

import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md", "docs/data/*.md", "docs/walks/*.md"],
).pytest()


# The same examples every time, and no deadline on a busy machine.
settings.register_profile(
    "steady", settings.default, derandomize=True, deadline=None, database=None, max_examples=40
)
settings.load_profile("steady")


@pytest.fixture(scope="session", autouse=True)
def runs_of_their_own(tmp_path_factory):
    """No test leaves runs in the current folder, or finds those of a user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COUNTERPOISE_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_the_disk():
    """Hundreds of runs save checkpoints, and nothing but a power cut tells when they are there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # which knows as well whether a file is open
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Look for no garbage while all is imported, of which nothing is any, nor in it afterwards."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
