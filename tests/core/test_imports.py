"""Importing the package pulls in PyTorch and nothing heavier."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import counterpoise as cp

HEAVY = (
    *("lightning", "pytorch_lightning", "torchmetrics", "jsonargparse", "tensorboard", "rich"),
    *(
        "sklearn",
        "scipy",
        "pandas",
        "altair",
        "PIL",
        "av",
        "h5py",
        "soxr",
        "soundfile",
        "torchvision",
        "torchaudio",
        "timm",
    ),
)
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


@pytest.fixture(scope="module")
def loaded():
    """Modules in a fresh process beyond those that PyTorch brings along itself."""
    code = (
        "import sys, torch; before = set(sys.modules)\n"
        "import counterpoise; print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_no_heavy_package_is_imported(loaded):
    tops = {name.partition(".")[0] for name in loaded}
    assert "counterpoise" in tops
    assert tops.isdisjoint(HEAVY)


def test_only_the_core_of_the_package_is_imported(loaded):
    rooms = {name.split(".")[1] for name in loaded if name.startswith("counterpoise.")}
    upper = {"models", "data", "training", "report", "measures", "experiments", "cli"}
    assert rooms.isdisjoint(upper)


def test_the_version_is_the_projects():
    written = re.search(r'^version = "(.+)"$', PYPROJECT.read_text(), re.MULTILINE)
    assert cp.__version__ == written[1]


def test_every_public_name_exists_and_is_listed_once():
    assert sorted(set(cp.__all__)) == sorted(cp.__all__)
    assert all(hasattr(cp, name) for name in cp.__all__)


def test_types_are_shipped():
    assert Path(cp.__file__).with_name("py.typed").exists()
