"""Batch statistics of the full pass, which the other coalitions normalise with.

A batch-norm layer in train mode normalises with the mean and variance of its batch. If the other
coalitions ran such a layer in eval mode, as published, they would be normalised otherwise than
the full pass: modulation then subtracts the gradient of one network from that of another, and
training drives the two apart (the running statistics no longer fit the weights). So every layer
that used batch statistics in the full pass uses *those* in the other coalitions too, and the
gradient flows through them.

Legend: B rows, C channels, mu mean and v biased variance of a channel over rows and positions,
h = (v + eps)^(-1/2), n how many numbers mu is the mean of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from counterpoise.core.scores import is_distributed

_PLAIN_FORWARDS = (_BatchNorm.forward, SyncBatchNorm.forward)


def normalisations(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """Return the layers among modules that now normalise with statistics of their input.

    Those are batch-norm layers that are in train mode or have no running statistics, and
    instance-norm layers that keep running statistics for eval mode.
    """
    return [m for m in modules if isinstance(m, (_BatchNorm, _InstanceNorm)) and _uses_its_input(m)]


def _uses_its_input(module: _BatchNorm | _InstanceNorm) -> bool:
    if isinstance(module, _BatchNorm):
        return module.training or (module.running_mean is None and module.running_var is None)
    return module.training and module.track_running_stats


@dataclass
class BatchStatistics:
    """What the normalisation layers of a model used in the full pass, by layer and call.

    A layer may be called more than once in a pass, and by more than one encoder: its calls are
    told apart by who called (the encoder's index, None for the rest of the model) and in which
    order.

    Attributes:
        scope: Who calls at present.
        calls: By layer and caller, its calls in the full pass.
    """

    scope: int | None = None
    calls: dict[tuple[int, int | None], list[_Call]] = field(default_factory=dict)
    _next: dict[tuple[int, int | None], int] = field(default_factory=dict)

    def record(self, module: nn.Module, forward: Callable[..., Any], x: Tensor, *more: Any) -> Any:
        """Run a layer in the full pass and keep what its statistics can be had from."""
        output = forward(x, *more)
        if isinstance(module, _BatchNorm):
            call = _Call(module, x, _kept(output))
            self.calls.setdefault((id(module), self.scope), []).append(call)
        return output

    def rewind(self) -> None:
        """Begin another pass: calls are counted from the first again."""
        self._next.clear()

    def replay(self, module: nn.Module, forward: Callable[..., Any], x: Tensor, *more: Any) -> Any:
        """Run a layer in another coalition, with the statistics of its call in the full pass.

        A call that the full pass did not make has none to use: it runs in eval mode.
        """
        if isinstance(module, _InstanceNorm):  # those of the sample itself, as in the full pass
            return F.instance_norm(x, None, None, module.weight, module.bias, True, 0.0, module.eps)
        key = (id(module), self.scope)
        number = self._next.get(key, 0)
        self._next[key] = number + 1
        calls = self.calls.get(key, ())
        if number >= len(calls):
            return forward(x, *more)
        assert isinstance(module, _BatchNorm)
        mean_C, inverse_C = calls[number].moments
        if type(module).forward in _PLAIN_FORWARDS:
            return _normalise(x, mean_C, inverse_C, module.weight, module.bias)
        # A layer with a forward of its own does more than normalise (an activation, say). Its
        # eval mode does the rest to an input that is normalised already, given a mean of 0 and a
        # variance that is 1 together with eps.
        with _NeutralStatistics(module, mean_C):
            return forward(_normalise(x, mean_C, inverse_C, None, None), *more)


class _Call:
    """One call of a layer in the full pass."""

    __slots__ = ("_moments", "eps", "group", "kept", "x")

    def __init__(self, module: nn.Module, x: Tensor, kept: tuple[Tensor, Tensor] | None) -> None:
        self.eps, self.x = float(module.eps), x  # type: ignore[arg-type]
        self.group = _group_of(module)
        self.kept = kept if self.group is None else None
        self._moments: tuple[Tensor, Tensor] | None = None

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and h of each channel, with the gradient into what the layer was given.

        They are worked out when first asked for, after the full pass: so nothing is added to
        what activation checkpoints compute anew in their backward pass.
        """
        if self._moments is None:
            self._moments = _Moments.apply(self.x, self.eps, self.group, self.kept)  # type: ignore[no-untyped-call]
        return self._moments


_KEEPERS = ("NativeBatchNormBackward0", "CudnnBatchNormBackward0", "MiopenBatchNormBackward0")
"""Operations that keep the mean and h of each channel for their backward pass."""


def _kept(output: Any) -> tuple[Tensor, Tensor] | None:
    """Return the mean and h that made an output, where PyTorch keeps them; else None.

    To compute them again takes a good part of what the layer itself takes.
    """
    if torch.compiler.is_compiling() or not isinstance(output, Tensor):
        return None
    # Within a checkpoint, or where activations are offloaded, they would be fetched back.
    if torch._C._autograd._top_saved_tensors_default_hooks(True) is not None:
        return None
    node: Any = output.grad_fn
    if node is None or node.name() not in _KEEPERS:
        return None
    mu, h = node._saved_result1, node._saved_result2
    return (mu, h) if mu.numel() and mu.dtype in (torch.float32, torch.float64) else None


def _group_of(module: nn.Module) -> Any:
    """Return the processes whose batches a layer normalises as one; None for this one alone."""
    if not (isinstance(module, SyncBatchNorm) and module.training and is_distributed()):
        return None
    return module.process_group or torch.distributed.group.WORLD


class _Moments(torch.autograd.Function):
    """x (B, C, ...) to mu and h, each (C,), in float32 at least.

    Autograd's own formulae would read x several times; this reads it once in the backward pass:
    d mu / dx = 1 / n, d h / dx = -h^3 (x - mu) / n.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, eps: float, group: Any, kept: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor]:
        ctx.group = group
        if kept is not None:
            mu, h = (value.clone() for value in kept)
            ctx.save_for_backward(x, mu, h, mu.new_full((), x.numel() // max(len(mu), 1)))
            return mu, h
        axes = [axis for axis in range(x.dim()) if axis != 1]
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = x.new_full((), x.numel() // max(x.shape[1], 1), dtype=wide.dtype)
        if group is None and x.device.type != "cpu":
            v, mu = torch.var_mean(wide, axes, correction=0)
        else:  # on the CPU two plain reductions are many times faster than `var_mean`
            n = _summed(count, group)
            mu = _summed(wide.sum(axes), group) / n
            v = _summed((wide - _channels(mu, x)).square_().sum(axes), group) / n
            count = n
        h = (v + eps).rsqrt()
        ctx.save_for_backward(x, mu, h, count)
        return mu, h

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        x, mu, h, n = ctx.saved_tensors
        slope = -_summed(gradients[1], ctx.group) * h.pow(3) / n
        shift = _summed(gradients[0], ctx.group) / n - slope * mu
        gradient = torch.addcmul(_channels(shift, x), x, _channels(slope, x)).to(x.dtype)
        return gradient, None, None, None


def _summed(tensor: Tensor, group: Any) -> Tensor:
    if group is not None:
        tensor = tensor.clone()
        torch.distributed.all_reduce(tensor, group=group)
    return tensor


def _normalise(
    x: Tensor, mean_C: Tensor, inverse_C: Tensor, weight: Tensor | None, bias: Tensor | None
) -> Tensor:
    scale = inverse_C if weight is None else inverse_C * weight
    shift = -mean_C * scale if bias is None else torch.addcmul(bias, mean_C, scale, value=-1)
    return torch.addcmul(_channels(shift, x), x, _channels(scale, x)).to(x.dtype)


def _channels(values_C: Tensor, x: Tensor) -> Tensor:
    return values_C.view(-1, *[1] * (x.dim() - 2))


class _NeutralStatistics:
    """Lets a layer in eval mode normalise with a mean of 0 and a variance of 1 for a while."""

    def __init__(self, module: nn.Module, like_C: Tensor) -> None:
        self.module, self.like_C = module, like_C

    def __enter__(self) -> None:
        buffers = self.module._buffers
        self.kept = {name: buffers[name] for name in ("running_mean", "running_var")}
        zeros = torch.zeros_like(self.like_C)
        buffers["running_mean"], buffers["running_var"] = zeros, zeros + (1 - self.module.eps)  # type: ignore[operator]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.module._buffers.update(self.kept)
