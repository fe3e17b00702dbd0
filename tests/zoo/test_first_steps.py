"""Every kind of model at every level, in double precision: right at each step, or refused."""

import pytest

from zoo.judging import KINDS
from zoo.runs import check, runs


@pytest.mark.parametrize(("name", "level"), runs("float64"))
def test_first_steps(name, level):
    check(name, level, "float64", "batch", 3)


def test_the_zoo_is_as_large_as_it_says():
    assert len(KINDS) >= 100
