"""What the package ships and exports."""

import re
from pathlib import Path

import counterpoise as cp

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_version_is_the_projects():
    written = re.search(r'^version = "(.+)"$', PYPROJECT.read_text(), re.MULTILINE)
    assert cp.__version__ == written[1]


def test_every_public_name_exists_and_is_listed_once():
    assert sorted(set(cp.__all__)) == sorted(cp.__all__)
    assert all(hasattr(cp, name) for name in cp.__all__)


def test_types_are_shipped():
    assert Path(cp.__file__).with_name("py.typed").exists()
