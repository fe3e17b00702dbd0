"""Heavy packages come when something that needs them is asked for, and not before."""

import subprocess
import sys

import pytest

import counterpoise.measures

HEAVY = ("lightning", "sklearn", "scipy", "torchmetrics", "altair", "rich", "jsonargparse")
LIGHT = "contributions, coalition_logits, extract_features, UnimodalModel, UnimodalNetwork, Batches"


def test_what_needs_pytorch_alone_imports_pytorch_alone():
    code = (
        "import sys, torch; before = set(sys.modules)\n"
        f"from counterpoise.measures import {LIGHT}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    tops = {name.partition(".")[0] for name in done.stdout.split()}
    assert "counterpoise" in tops
    assert tops.isdisjoint(HEAVY)


def test_every_public_name_exists_and_others_do_not():
    for name in counterpoise.measures.__all__:
        assert getattr(counterpoise.measures, name) is not None
    with pytest.raises(AttributeError, match=r"no attribute 'strenght'"):
        counterpoise.measures.strenght  # noqa: B018 # reading it is the test
