"""Which kinds are judged at which levels and precisions, as parameters of tests."""

import pytest

from zoo import huggingface
from zoo.judging import KINDS, LEVELS, PRECISIONS, judge


def runs(precision, levels=LEVELS, *, normalised=False):
    """List name and level of each kind; without encoders whole passes are its only level.

    Args:
        precision: Of the run, for its name.
        levels: To judge at.
        normalised: Whether to list only kinds with layers that tell batch from running statistics.
    """
    listed = []
    for name, kind in KINDS.items():
        if normalised and not kind.normalised:
            continue
        missing = huggingface.hf is None and name in huggingface.KINDS
        marks = pytest.mark.skipif(missing, reason="transformers is not installed")
        listed += [
            pytest.param(name, level, id=f"{name}-{level}-{precision}", marks=marks)
            for level in (levels if kind.encoders else LEVELS[:1])
        ]
    return listed


def check(name, level, precision, statistics, num_steps):
    """Assert that a run is right, or refused where its kind may be."""
    kind = KINDS[name]
    ended = judge(kind, level, PRECISIONS[precision], statistics=statistics, num_steps=num_steps)
    assert ended == "right" or level in kind.refusable
