"""What the full pass of an oracle leaves to its other passes: moments and features.

Everything goes through PyTorch's own hooks, by module and by number of the call.
"""

from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils.rnn import PackedSequence


class NormStatistics:
    """Mean and variance of every call of a batch normalisation in the full pass.

    An instance normalisation normalises each sample with its own moments in train mode, and does
    so in the other coalitions too.
    """

    def __init__(self, model):
        self.layers = [m for m in model.modules() if isinstance(m, _BatchNorm)]
        self.instance_layers = [
            m
            for m in model.modules()
            if isinstance(m, _InstanceNorm) and m.track_running_stats and m.training
        ]
        self.used: dict[Any, tuple[Tensor, Tensor]] = {}

    @contextmanager
    def recorded(self):
        """Note what each call normalises with, the gradient through it included."""
        calls: Counter[Any] = Counter()

        def note(layer, args):
            number, calls[layer] = calls[layer], calls[layer] + 1
            if layer.training or layer.running_mean is None:
                axes = [axis for axis in range(args[0].dim()) if axis != 1]
                self.used[layer, number] = moments(args[0], axes)

        with hooks(layer.register_forward_pre_hook(note) for layer in self.layers):
            yield

    @contextmanager
    def replayed(self):
        """Normalise each call with what the call of the same number used in the full pass."""
        calls: Counter[Any] = Counter()

        def renormalise(layer, args, output):
            number, calls[layer] = calls[layer], calls[layer] + 1
            if (layer, number) not in self.used:
                return output
            return normalised(layer, args[0], *self.used[layer, number]).to(output.dtype)

        def normalise(layer, args, output):
            own = moments(args[0], list(range(2, args[0].dim())))
            return normalised(layer, args[0], *own).to(output.dtype)

        batch = (layer.register_forward_hook(renormalise) for layer in self.layers)
        instance = (layer.register_forward_hook(normalise) for layer in self.instance_layers)
        with hooks(batch), hooks(instance):
            yield


def moments(x, axes):
    """Return mean and biased variance over axes, in single precision at least."""
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    mean = x.mean(dim=axes, keepdim=True)
    return mean, (x - mean).square().mean(dim=axes, keepdim=True)


def normalised(layer, x, mean, variance):
    """Return x normalised, scaled and shifted by channel."""
    y = (x.to(mean.dtype) - mean) / (variance + layer.eps).sqrt()
    if layer.affine:
        shape = [1, -1] + [1] * (y.dim() - 2)
        y = y * layer.weight.view(shape) + layer.bias.view(shape)
    return y


class Features:
    """Outputs of the encoders in the full pass, in place of those of present modalities."""

    def __init__(self, model, encoders):
        self.encoders = {name: model.get_submodule(path) for name, path in encoders.items()}
        self.outputs: dict[str, Any] = {}

    @contextmanager
    def recorded(self):
        """Note what each encoder returns, before anybody changes it."""

        def noted(name):
            def note(encoder, args, output):
                self.outputs[name] = output
                return copied(output)

            return note

        with hooks(e.register_forward_hook(noted(n)) for n, e in self.encoders.items()):
            yield

    @contextmanager
    def replayed(self, present):
        """Give the rest of the model the noted outputs of those that are present.

        An encoder that the full pass skipped has none: what it returns now stands.
        """

        def answered(name):
            return lambda encoder, args, output: copied(self.outputs.get(name, output))

        chosen = {n: e for n, e in self.encoders.items() if n in present}
        with hooks(e.register_forward_hook(answered(n)) for n, e in chosen.items()):
            yield


@contextmanager
def hooks(handles):
    """Remove hooks again."""
    with ExitStack() as stack:
        for handle in handles:
            stack.callback(handle.remove)
        yield


def copied(value):
    """Return a value with clones for tensors, the gradient flowing through."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, PackedSequence):
        return value._replace(data=value.data.clone())
    if isinstance(value, dict):
        made = {key: copied(leaf) for key, leaf in value.items()}
        return made if type(value) is dict else type(value)(**made)
    if isinstance(value, (list, tuple)):
        return type(value)(copied(leaf) for leaf in value)
    return value
