"""The published implementation's own training, reproduced through the public API alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from support.wrapping import wrap_parts

PARITY = Path(__file__).parents[3] / "shared" / "parity"


class Head(nn.Module):
    def __init__(self, size, num_classes):
        super().__init__()
        self.fc = nn.Linear(size, num_classes)

    def forward(self, x):
        return self.fc(x)


class Published(nn.Module):
    """The network of the golden files, modalities in their order of concatenation."""

    def __init__(self, sizes, num_classes, early):
        super().__init__()
        for name, size in sizes.items():
            encoder = nn.Sequential(
                nn.Linear(size, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8)
            )
            self.add_module(f"{name}_encoder", encoder)
        self.names, self.early = tuple(sizes), early
        if early:
            self.mm_encoder = nn.Sequential(
                nn.Linear(8 * len(sizes), 12), nn.BatchNorm1d(12), nn.ReLU()
            )
        self.head = Head(12 if early else 8 * len(sizes), num_classes)

    def forward(self, **inputs):
        encoded = [getattr(self, f"{name}_encoder")(inputs[name]) for name in self.names]
        fused = torch.cat(encoded, dim=1)
        return self.head(self.mm_encoder(fused) if self.early else fused)


@pytest.mark.parametrize("level", ["inputs", "features"])
@pytest.mark.parametrize("case", ["m2_late", "m2_fused", "m3_late", "m3_fused"])
def test_golden_training_run(case, level):
    path = PARITY / f"{case}.npz"
    if not path.exists():
        pytest.skip(f"golden values are not beside the checkout: {path.name}")
    golden = dict(np.load(path))
    names = tuple(str(name) for name in golden["modalities"])
    inputs = {name: torch.from_numpy(golden[f"input/{name}"]) for name in names}
    labels = torch.from_numpy(golden["labels"])
    sizes = {name: inputs[name].shape[-1] for name in names}
    model = Published(sizes, golden["init/head.fc.bias"].shape[0], bool(golden["early"])).double()
    model.load_state_dict(
        {key[5:]: torch.from_numpy(v) for key, v in golden.items() if key.startswith("init/")}
    )
    encoders = {name: f"{name}_encoder" for name in names} if level == "features" else None
    balanced = wrap_parts(
        model, names, cp.AGM(alpha=float(golden["alpha"]), clamp=10.0), encoders=encoders
    )
    assert balanced.level == level
    optimiser = torch.optim.SGD(
        model.parameters(),
        lr=float(golden["lr"]),
        momentum=float(golden["momentum"]),
        weight_decay=float(golden["weight_decay"]),
    )
    losses, coefficients = [], []
    for epoch in range(labels.shape[0]):
        for step in range(labels.shape[1]):
            target = labels[epoch, step]
            out = balanced(**{n: x[epoch, step] for n, x in inputs.items()}, target=target)
            loss = F.cross_entropy(out.logits, target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
            coefficients.append(out.coefficients)
    close = {"rtol": 1e-9, "atol": 1e-9}
    np.testing.assert_allclose(losses, golden["losses"], **close)
    np.testing.assert_allclose(torch.stack(coefficients), golden["coefficients"], **close)
    np.testing.assert_allclose(balanced.method.running_scores, golden["running_scores"], **close)
    for key, value in model.state_dict().items():
        np.testing.assert_allclose(value, golden[f"final/{key}"], **close, err_msg=key)
