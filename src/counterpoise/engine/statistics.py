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
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import SyncBatchNorm, _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.overrides import TorchFunctionMode

from counterpoise.core.scores import is_distributed

_PLAIN_FORWARDS = (_BatchNorm.forward, SyncBatchNorm.forward, _InstanceNorm.forward)


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
        # A model may freeze a layer while it runs: asked at each call, and not once a step.
        if not isinstance(module, _BatchNorm) or not _uses_its_input(module):
            return forward(x, *more)
        calls = self.calls.setdefault((id(module), self.scope), [])
        if type(module).forward in _PLAIN_FORWARDS:
            output = forward(x, *more)
            calls.append(_Call(module, x, _kept(output)))
            return output

        def run(x: Tensor, *settings: Any, **more: Any) -> Tensor:
            output = F.batch_norm(x, *settings, **more)
            calls.append(_Call(module, x, _kept(output)))
            return output

        before = len(calls)
        with Within(F.batch_norm, run):
            output = forward(x, *more)
        if len(calls) == before:
            raise RuntimeError(
                f"A batch normalisation such as {type(module).__name__} should normalise by "
                "torch.nn.functional.batch_norm, so that its batch statistics can be used again; "
                "found that its own forward does not. Call `super().forward(x)` in it, or pass "
                'coalitions=cp.Coalitions(statistics="running").'
            )
        return output

    def settle(self) -> None:
        """Work out the statistics of layers of the rest now: what runs next may be run again."""
        for (_, scope), calls in self.calls.items():
            for call in calls if scope is None else ():
                _ = call.moments

    def rewind(self) -> None:
        """Begin another pass: calls are counted from the first again."""
        self._next.clear()

    def in_step(self, *, encoders: bool = False) -> bool:
        """Return whether the layers that this pass called were called as often as in the full one.

        One that is called for some rows at a time is called more often for a longer batch; so is
        one that is called where there are rows enough, and less often for a single row.

        Args:
            encoders: Whether the pass ran the encoders: they should have called all their layers.
        """
        keys = {*self._next, *[key for key in self.calls if encoders and key[1] is not None]}
        return not [k for k in keys if self._next.get(k, 0) != len(self.calls.get(k, ()))]

    def replay(self, module: nn.Module, forward: Callable[..., Any], x: Tensor, *more: Any) -> Any:
        """Run a layer in another coalition, with the statistics of its call in the full pass.

        A call that the full pass did not make has none to use: it runs in eval mode.
        """
        plain = type(module).forward in _PLAIN_FORWARDS
        if isinstance(module, _InstanceNorm):  # those of the sample itself, as in the full pass
            if plain:
                return _of_sample(x, weight=module.weight, bias=module.bias, eps=module.eps)
            with Within(F.instance_norm, _of_sample):
                return forward(x, *more)
        key = (id(module), self.scope)
        assert isinstance(module, _BatchNorm)
        if plain:
            moments = self._moments(key)
            if moments is None:
                return forward(x, *more)
            return _normalise(x, *moments, module.weight, module.bias)

        def run(x: Tensor, *running: Any, **settings: Any) -> Tensor:
            moments = self._moments(key)
            if moments is None:
                return F.batch_norm(x, *running, **settings)
            return _normalise(x, *moments, settings["weight"], settings["bias"])

        with Within(F.batch_norm, run):
            return forward(x, *more)

    def _moments(self, key: tuple[int, int | None]) -> tuple[Tensor, Tensor] | None:
        """Return those of the next call of a layer by a caller; None if the full pass has none."""
        number = self._next.get(key, 0)
        self._next[key] = number + 1
        calls = self.calls.get(key, ())
        return calls[number].moments if number < len(calls) else None


def _of_sample(x: Tensor, *running: Any, weight: Any, bias: Any, eps: float, **more: Any) -> Tensor:
    """Normalise each sample by its own statistics, whatever mode the layer is in."""
    return F.instance_norm(x, None, None, weight, bias, True, 0.0, eps)


class Within(TorchFunctionMode):
    """Answers the calls of one function of PyTorch for a while.

    A layer with a forward of its own may change what it is given before it normalises it (another
    order of axes, say) and does more afterwards: of all that only the normalisation is answered.
    """

    def __init__(self, function: Callable[..., Tensor], answer: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function, self.answer = function, answer

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is not self.function:
            return func(*args, **(kwargs or {}))
        # PyTorch hands on all but the running statistics by keyword, however they were given.
        return self.answer(*args, **(kwargs or {}))


class _Call:
    """One call of a layer in the full pass."""

    __slots__ = ("_moments", "eps", "group", "kept", "x")

    def __init__(self, module: nn.Module, x: Tensor, kept: tuple[Tensor, Tensor] | None) -> None:
        self.eps, self.x = float(module.eps), x  # type: ignore[arg-type]
        self.group = _group_of(module)
        self.kept = kept if self.group is None else None
        self._moments: tuple[Tensor, Tensor] | None = None
        if not torch.is_grad_enabled() or not _may_be_run_again():
            # At once: backward passes go through what was made last first, and what was made here
            # turns up there when the layer itself does. Else the gradients of all layers' inputs
            # would come first of all, and wait.
            _ = self.moments

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and h of each channel, with the gradient into what the layer was given.

        Within an activation checkpoint they are worked out when first asked for, after the full
        pass: so nothing is added to what it computes anew in its backward pass.
        """
        if self._moments is None:
            # Who asks first may want no gradient where a later pass does.
            with torch.enable_grad():
                self._moments = _Moments.apply(self.x, self.eps, self.group, self.kept)  # type: ignore[no-untyped-call]
        return self._moments


_KEEPERS = ("NativeBatchNormBackward0", "CudnnBatchNormBackward0", "MiopenBatchNormBackward0")
"""Operations that keep the mean and h of each channel for their backward pass."""


def _kept(output: Any) -> tuple[Tensor, Tensor] | None:
    """Return the mean and h that made an output, where PyTorch keeps them; else None.

    To compute them again takes a good part of what the layer itself takes.
    """
    # Within a checkpoint, or where activations are offloaded, they would be fetched back.
    if not isinstance(output, Tensor) or _may_be_run_again():
        return None
    node: Any = output.grad_fn
    if node is None or node.name() not in _KEEPERS:
        return None
    mu, h = node._saved_result1, node._saved_result2
    return (mu, h) if mu.numel() and mu.dtype in (torch.float32, torch.float64) else None


_watching = getattr(torch._C._autograd, "_top_saved_tensors_default_hooks", None)
"""Which hooks are in force; of older releases of PyTorch nobody can tell."""


def _may_be_run_again() -> bool:
    """Return whether what is saved for the backward pass may be watched, as in a checkpoint."""
    if _watching is None or torch.compiler.is_compiling():
        return True
    return _watching(True) is not None


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
        if group is None and not _is_on_cpu(x):
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
        return _affine(x, slope, shift), None, None, None


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
    return _affine(x, scale, shift)


def _affine(x: Tensor, scale_C: Tensor, shift_C: Tensor) -> Tensor:
    """Return each channel times its scale, and shifted, in the type of ``x``."""
    scale, shift = _channels(scale_C, x), _channels(shift_C, x)
    if _is_on_cpu(x):  # where one operation for both takes three times as long as two
        return (x * scale).add_(shift).to(x.dtype)
    return torch.addcmul(shift, x, scale).to(x.dtype)


def _is_on_cpu(x: Tensor) -> bool:
    return x.device.type == "cpu"


def _channels(values_C: Tensor, x: Tensor) -> Tensor:
    return values_C.view(-1, *[1] * (x.dim() - 2))
