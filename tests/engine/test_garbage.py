"""What a step leaves behind: nothing that only Python's search for garbage would free."""

import gc
import weakref

import pytest
import torch

import counterpoise as cp
from support.networks import Late

METHODS = {
    "AGM": cp.AGM,
    "OGM": cp.OGM,
    "UnimodalLoss": cp.UnimodalLoss,
    "chain": lambda: cp.chain(cp.AGM(), cp.UnimodalLoss()),
    "CML": cp.CML,
}


@pytest.mark.parametrize("coalitions", ["inputs", "features", "shared"])
@pytest.mark.parametrize("method", METHODS)
def test_the_features_of_a_step_are_freed_with_its_output(method, coalitions):
    torch.manual_seed(0)
    model = Late(2)
    batch = {"ear": torch.randn(7, 3), "eye": torch.randn(7, 5), "target": torch.arange(7) % 2}
    seen = []
    model.ear.register_forward_hook(lambda module, args, output: seen.append(weakref.ref(output)))
    balanced = cp.Balanced(
        model, {n: n for n in ("ear", "eye")}, METHODS[method](), coalitions=coalitions
    )
    for _ in range(3):  # past the first looks at the model
        balanced(**batch).loss.backward()
    gc.collect()
    gc.disable()
    try:
        seen.clear()
        balanced(**batch).loss.backward()
        assert seen
        assert [feature() for feature in seen] == [None] * len(seen)
    finally:
        gc.enable()
