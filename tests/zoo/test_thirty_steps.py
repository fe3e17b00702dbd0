"""Every kind of model, level and precision over thirty steps of training."""

import pytest

from zoo.runs import check, runs

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("name", "level"), runs("float32"))
def test_single_precision(name, level):
    check(name, level, "float32", "batch", 30)


@pytest.mark.parametrize(("name", "level"), runs("bfloat16"))
def test_half_precision(name, level):
    check(name, level, "bfloat16", "batch", 30)


@pytest.mark.parametrize(("name", "level"), runs("float32", normalised=True))
def test_running_statistics(name, level):
    check(name, level, "float32", "running", 30)
