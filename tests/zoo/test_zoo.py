"""Every kind of model at every level and precision: right at each step, or refused in words.

The quick version trains a few steps; the slow one, by marker, trains thirty.
"""

import pytest

from zoo import huggingface
from zoo.judging import KINDS, LEVELS, PRECISIONS, judge


def runs(precisions, statistics):
    """List kinds by level and precision; those with normalisation alone by running statistics."""
    return list(_runs(precisions, statistics))


def _runs(precisions, statistics):
    for name, kind in KINDS.items():
        if statistics == "running" and not kind.normalised:
            continue
        for level in LEVELS if kind.encoders else LEVELS[:1]:
            for precision in precisions:
                label = f"{name}-{level}-{precision}"
                missing = huggingface.hf is None and name in huggingface.KINDS
                marks = pytest.mark.skipif(missing, reason="transformers is not installed")
                yield pytest.param(name, level, precision, id=label, marks=marks)


def check(name, level, precision, statistics, num_steps):
    kind = KINDS[name]
    ended = judge(kind, level, PRECISIONS[precision], statistics=statistics, num_steps=num_steps)
    assert ended == "right" or level in kind.refusable


@pytest.mark.parametrize(("name", "level", "precision"), runs(("float64", "bfloat16"), "batch"))
def test_first_steps(name, level, precision):
    check(name, level, precision, "batch", 3)


@pytest.mark.parametrize(("name", "level", "precision"), runs(("float64",), "running"))
def test_first_steps_with_running_statistics(name, level, precision):
    check(name, level, precision, "running", 3)


@pytest.mark.slow
@pytest.mark.parametrize("statistics", ["batch", "running"])
@pytest.mark.parametrize(("name", "level", "precision"), runs(("float32", "bfloat16"), "batch"))
def test_thirty_steps(name, level, precision, statistics):
    if statistics == "running" and not KINDS[name].normalised:
        pytest.skip("it has no layer that could tell")
    check(name, level, precision, statistics, 30)


def test_the_zoo_is_as_large_as_it_says():
    assert len(KINDS) >= 40
