"""What methods compute is what their formulae say: ``benchmarks/released_values.py``."""

import importlib.util
import sys
from pathlib import Path

import pytest


def load():
    path = Path(__file__).parents[2] / "benchmarks" / "released_values.py"
    sys.path.insert(0, str(path.parent))  # of the parts that it is made of
    spec = importlib.util.spec_from_file_location("released_values", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["released_values"] = module
    spec.loader.exec_module(module)
    return module


SCRIPT = load()


@pytest.mark.parametrize("name", SCRIPT.QUANTITIES)
def test_methods_and_formulae_agree(name):
    assert SCRIPT.difference(SCRIPT.QUANTITIES[name]) < 1e-11
