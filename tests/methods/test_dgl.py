"""DGL: by hand, in loops over modalities."""

from copy import deepcopy

import pytest
import torch
from torch.nn import functional as F

import counterpoise as cp
from support.methods import close, concatenation, grads, wrapped
from support.networks import batch


@pytest.mark.parametrize("num_modalities", [2, 3])
def test_dgl_by_hand(num_modalities):
    """Encoder m from alpha CE(W_m f_m + b) alone; head from CE of the whole alone."""
    model = concatenation(num_modalities)
    twin = deepcopy(model)
    inputs, target = batch(num_modalities, 7)
    out = wrapped(model, cp.DGL(alpha=3.0))(**inputs, target=target)
    out.loss.backward()
    features = [getattr(twin, name)(inputs[name]) for name in twin.names]
    whole = F.cross_entropy(twin.head(torch.cat([f.detach() for f in features], dim=1)), target)
    whole.backward()
    head = {n: p.grad.clone() for n, p in twin.head.named_parameters()}
    losses = []
    for m in range(num_modalities):
        alone = [f if j == m else torch.zeros_like(f) for j, f in enumerate(features)]
        losses.append(F.cross_entropy(twin.head(torch.cat(alone, dim=1)), target))
    (3 * sum(losses)).backward()
    close(out.loss, whole + 3 * sum(losses))
    found = grads(model)
    for name, expected in grads(twin).items():
        close(found[name], head[name[5:]] if name.startswith("head.") else expected)


def test_dgl_without_exact_coalitions_is_an_error():
    inputs, target = batch(5, 7)
    sampled = cp.Coalitions(sampling=cp.Sampling(num_passes=18))
    balanced = wrapped(concatenation(5), cp.DGL(), coalitions=sampled)
    message = r"Coalitions should be exact for DGL, which needs that of modalities \(\d,\); found"
    steps = (balanced(**inputs, target=target) for _ in range(20))
    with pytest.raises(ValueError, match=message):
        list(steps)
