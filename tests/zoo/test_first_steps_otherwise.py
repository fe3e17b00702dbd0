"""Some kinds of model in half precision, and by running statistics where they tell.

All of them, at every level and for longer, are in the slow tests.
"""

import pytest

from zoo.runs import check, runs


# What is concluded at "shared" is what "features" goes by.
@pytest.mark.parametrize(("name", "level"), runs("bfloat16", ("shared",))[::3])
def test_half_precision(name, level):
    check(name, level, "bfloat16", "batch", 2)


@pytest.mark.parametrize(("name", "level"), runs("float64", normalised=True)[::2])
def test_running_statistics(name, level):
    check(name, level, "float64", "running", 2)
