"""Which path of a class is written to disk."""

import sys
from types import ModuleType

import pytest

from counterpoise.core import absence, references, scores
from counterpoise.core.class_paths import class_path
from counterpoise.data import AVMNIST, Digits
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.measures import UnimodalNetwork
from counterpoise.methods import AGM, OGMGE
from counterpoise.models import LeNet
from counterpoise.training import Network


class Own:
    """No package exports this."""

    class Inner:
        """Nor this."""


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        (AGM, "counterpoise.AGM"),
        (OGMGE, "counterpoise.OGMGE"),
        (absence.Zeros, "counterpoise.absence.Zeros"),
        (references.RunningMean, "counterpoise.references.RunningMean"),
        (scores.CrossEntropy, "counterpoise.scores.CrossEntropy"),
        (AVMNIST, "counterpoise.data.AVMNIST"),
        (Digits, "counterpoise.data.Digits"),
        (LeNet, "counterpoise.models.LeNet"),
        (UnimodalNetwork, "counterpoise.measures.UnimodalNetwork"),
        (Network, "counterpoise.training.Network"),
        (CorruptFileError, "counterpoise.data.CorruptFileError"),
        (Own, f"{__name__}.Own"),
        (Own.Inner, f"{__name__}.Own.Inner"),
    ],
)
def test_the_shortest_path_by_which_a_class_is_exported(kind, path):
    assert class_path(kind) == path


def test_the_path_outlives_a_move_of_the_module(monkeypatch):
    monkeypatch.setattr(AGM, "__module__", "counterpoise.methods.elsewhere.agm")
    monkeypatch.setattr(references.Fixed, "__module__", "counterpoise.references.fixed")
    assert class_path(AGM) == "counterpoise.AGM"
    assert class_path(references.Fixed) == "counterpoise.references.Fixed"


def test_a_package_of_the_users_own_exports_by_the_same_rule(monkeypatch):
    package = ModuleType("owned")
    package.Own, package.__all__ = Own, ["Own"]
    monkeypatch.setitem(sys.modules, "owned", package)
    monkeypatch.setattr(Own, "__module__", "owned.within")
    assert class_path(Own) == "owned.Own"
    package.__all__ = []
    assert class_path(Own) == "owned.within.Own"
    package.__all__, package.Own = ["Own"], AGM  # another class of the same name
    assert class_path(Own) == "owned.within.Own"


def test_public_modules_are_imported_by_their_public_names():
    import counterpoise.references

    assert counterpoise.references is references
    assert sys.modules["counterpoise.scores"] is scores
