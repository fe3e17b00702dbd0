"""How often the whole procedure is wrong, in small: the full figures are of the same script."""

import importlib.util
import math
import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture(scope="module")
def script():
    """The benchmark, loaded from its file, and beside it what it imports."""
    for name in ("inference_worlds", "inference"):
        spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    yield sys.modules["inference"]
    for name in ("inference_worlds", "inference"):
        del sys.modules[name]


def most(share, cases):
    """What a share stays below by chance, but for 1 in 1,000 times."""
    return share + 3.1 * math.sqrt(share * (1 - share) / cases)


@pytest.mark.parametrize("num_seeds", [5, 10])
@pytest.mark.parametrize("world", range(4))
def test_families_of_equally_good_methods_hold_a_false_positive_in_at_most_5_of_100(
    script, world, num_seeds
):
    rng = np.random.default_rng([world, num_seeds])
    found = script.false_positives(script.WORLDS[world], 7, num_seeds, 120, rng)
    assert found <= most(0.05, 120)


def test_with_fewer_than_5_seeds_there_are_none(script):
    rng = np.random.default_rng(1)
    for num_seeds in (2, 3):
        assert script.false_positives(script.WORLDS[1], 7, num_seeds, 40, rng) == 0


def test_differences_as_large_as_the_margin_are_seldom_called_equivalent(script):
    found = script.false_equivalents(7, 10, 120, np.random.default_rng(2))
    assert found <= most(0.05, 120)


@pytest.mark.parametrize(("num_tests", "num_seeds"), [(1, 5), (7, 10)])
def test_true_differences_are_found_as_often_as_the_formula_says(script, num_tests, num_seeds):
    rng = np.random.default_rng([num_tests, num_seeds])
    found = script.found_share(1.0, num_tests, num_seeds, 200, rng)
    assert found == pytest.approx(script._formula(1.0, num_tests, num_seeds), abs=0.11)


def test_new_samples_need_intervals_over_samples(script):
    rng = np.random.default_rng(3)
    both, seeds = script.false_positives_on_new_samples(1, 10, 150, rng)
    assert both <= most(0.05, 150)
    assert seeds > both


@pytest.mark.parametrize("collapsed", [0.0, 0.1])
@pytest.mark.parametrize("num_seeds", [5, 10])
def test_whole_reports_hold_a_false_positive_in_at_most_5_of_100(script, num_seeds, collapsed):
    rng = np.random.default_rng([num_seeds, collapsed > 0])
    found = script.false_positives_of_reports(num_seeds, collapsed, 30, rng)
    assert found <= most(0.05, 30)


COLLAPSING = "accuracy over seeds, 10% collapse"
ALONE = ("the same by seeds alone", "the same difference by seeds alone")


@pytest.mark.parametrize("count", [5, 10])
def test_intervals_hold_what_they_should(script, count):
    for name, draw in script.COVERAGE.items():
        if name not in (COLLAPSING, *ALONE):
            found = script.coverage(draw, count, 100, np.random.default_rng(count))
            assert found >= 0.95 - 3.5 * math.sqrt(0.05 * 0.95 / 100), name


def test_no_interval_knows_of_collapses_that_did_not_occur(script):
    """With 5 seeds none collapses in 0.9^5 = 59% of cases: nothing in the values tells of it."""
    found = script.coverage(script.COVERAGE[COLLAPSING], 5, 200, np.random.default_rng(4))
    assert found < 0.6
