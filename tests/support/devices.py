"""A step on a device whose values nobody can read: one that reads them would wait for it."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map


class OneDevice(TorchDispatchMode):
    """Forbids operations on tensors of several devices, but for single numbers."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = tree_leaves((args, kwargs))
        kinds = {x.device.type for x in found if isinstance(x, torch.Tensor) and x.dim() > 0}
        assert len(kinds) < 2, f"{function} on {kinds}"
        return function(*args, **(kwargs or {}))


def step_unread(run):
    """Take the next step of a run on the device "meta", which has no values.

    An operation that needs one raises, and so does one on tensors of two devices.
    """
    run.balanced.to("meta")
    batch = run.data(run.num_steps)
    run.data = lambda seed: tree_map(lambda x: x.to("meta"), batch)
    with OneDevice():
        run.forward().loss.backward()
