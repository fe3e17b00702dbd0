"""The fast path of PyTorch's attention, which it takes in eval mode where no gradient is asked.

There padded positions come out as zeros, and sequences are cut to the longest: another function
than in training. Coalitions are to be those of the model that is trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def fast_path_as_in_training(attentive: Sequence[nn.Module]) -> Iterator[None]:
    """Leave the fast path for a while, unless a module is in eval mode and may have taken it.

    Args:
        attentive: The modules of the model that have one, in the modes of the full pass.
    """
    if not (attentive and all(m.training for m in attentive)):
        yield
        return
    backend = torch.backends.mha
    before = backend.get_fastpath_enabled()
    backend.set_fastpath_enabled(False)
    try:
        yield
    finally:
        backend.set_fastpath_enabled(before)
