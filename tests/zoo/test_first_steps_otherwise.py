"""Every kind of model in half precision, and by running statistics where they tell."""

import pytest

from zoo.runs import check, runs


# What is concluded at "shared" is what "features" goes by; the slow tests look at both.
@pytest.mark.parametrize(("name", "level"), runs("bfloat16", ("shared",)))
def test_half_precision(name, level):
    check(name, level, "bfloat16", "batch", 2)


@pytest.mark.parametrize(("name", "level"), runs("float64", normalised=True))
def test_running_statistics(name, level):
    check(name, level, "float64", "running", 2)
