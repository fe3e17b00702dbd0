"""Running a model in high precision, in eval mode and without a trace, to draw conclusions from.

In half precision rounding hides what a model does: a fusion of three modalities looks like a sum.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from counterpoise.core.pytree import PyTree, map_tensors, tensors
from counterpoise.engine.attributes import AttributesKept, buffers_kept
from counterpoise.engine.fast_path import fast_path_as_in_training
from counterpoise.engine.modes import EvaluationMode, Modules
from counterpoise.engine.threads import PROCESS_WIDE

_ORDINARY = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_DOUBLE_LIMIT = 2**27
"""Models of more numbers than this are looked at in float32, uncopied where that is their own type:
copies cost memory."""


def precise_type(model: nn.Module, inputs: Mapping[str, PyTree]) -> torch.dtype:
    """Return the widest type that a model can reasonably be run in."""
    devices = {t.device.type for t in (*tensors(dict(inputs)), *model.parameters())}
    return torch.float32 if "mps" in devices or _is_large(model) else torch.float64


def _is_large(model: nn.Module) -> bool:
    return sum(p.numel() for p in model.parameters() if not is_lazy(p)) > _DOUBLE_LIMIT


@contextmanager
def precise(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Let a model compute in a type, with copies of its weights, outside autocast, for a while.

    A model may move what it does not train, such as an average of its weights; of a large one only
    what it replaces is given back, and not what it changes in place. The default type stays:
    tables that a model makes once and keeps out of our sight, in a function's cache say, would
    have the other type for ever.
    """
    copies = not _is_large(model)
    values = {
        name: tensor.data.to(dtype, copy=copies)
        for name, tensor in (*model.named_parameters(), *model.named_buffers())
        if _is_plain(tensor) and tensor.dtype in _ORDINARY
    }
    kinds = {"cpu", *(p.device.type for p in model.parameters())}
    with weights_of(model, values), _autocast_off(kinds):
        yield


def _is_plain(tensor: Tensor) -> bool:
    return type(tensor) in (Tensor, nn.Parameter)  # and no sharded or quantised one


@contextmanager
def _autocast_off(kinds: set[str]) -> Iterator[None]:
    kind, *more = kinds
    context = torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else None
    with context or nullcontext(), _autocast_off(set(more)) if more else nullcontext():
        yield


def widened(tree: PyTree, dtype: torch.dtype) -> PyTree:
    """Return a copy of a tree with its ordinary floating-point tensors in a type."""
    return map_tensors(
        lambda t: t.to(dtype, copy=True) if t.dtype in _ORDINARY else t.clone(), tree
    )


@contextmanager
def weights_of(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Let a model compute with other values of some parameters and buffers for a while.

    A parameter is replaced as a whole by one of another type: changing the type of its data would
    make PyTorch forget the hooks by which DDP averages its gradient.
    """
    named: dict[str, Any] = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    other_type = {
        id(own): nn.Parameter(value, requires_grad=own.requires_grad)
        for name, value in weights.items()
        if isinstance(own := named[name], nn.Parameter) and value.dtype != own.dtype
    }
    places = [
        (module, key, own)
        for module in model.modules()
        for key, own in module._parameters.items()
        if id(own) in other_type
    ]
    own_data = {name: named[name].data for name in weights if id(named[name]) not in other_type}
    try:
        for module, key, own in places:
            setattr(module, key, other_type[id(own)])
        for name in own_data:
            named[name].data = weights[name]
        yield
    finally:
        for module, key, own in places:
            setattr(module, key, own)
        for name, data in own_data.items():
            named[name].data = data


@contextmanager
def _uncached_weights() -> Iterator[None]:
    """Compute parametrised weights anew for a while, also within ``parametrize.cached()``.

    Weights of another type, without gradient, must not be found again by the training pass.
    """
    enabled, parametrize._cache_enabled = parametrize._cache_enabled, 0
    try:
        yield
    finally:
        parametrize._cache_enabled = enabled


def _uncompiled() -> AbstractContextManager[Any]:
    """Run parts of a model that are compiled as they were written.

    They would be compiled for types, modes and numbers of rows that training never has, and so
    often that PyTorch gives up compiling them at all.
    """
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and importing it takes seconds
        return nullcontext()
    stance: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return stance


@contextmanager
def _other_random_states() -> Iterator[None]:
    """Give back the random states of Python and NumPy, by which a model may skip its layers."""
    numpy = sys.modules.get("numpy")
    own, others = random.getstate(), None if numpy is None else numpy.random.get_state()
    try:
        yield
    finally:
        random.setstate(own)
        if numpy is not None:
            numpy.random.set_state(others)


@contextmanager
def left_as_it_was(model: nn.Module, inputs: Mapping[str, PyTree]) -> Iterator[None]:
    """Keep a model in eval mode for a while; give back modes, states and random states."""
    devices = {t.device for t in (*tensors(dict(inputs)), *model.parameters())}
    accelerators = [device for device in devices if device.type != "cpu"]
    kind = accelerators[0].type if accelerators else "cuda"
    found = Modules.of(model)
    modules = found.all
    # Lazy layers of PyTorch's own become others; scripted ones keep nothing that Python could set.
    changing = [m for m in modules if not isinstance(m, torch.jit.ScriptModule)]
    with (
        PROCESS_WIDE,
        _uncached_weights(),
        _uncompiled(),
        _other_random_states(),
        torch.random.fork_rng(devices=accelerators, device_type=kind),
        buffers_kept(model),
        fast_path_as_in_training(found.attentive),
        EvaluationMode(modules),
        AttributesKept(changing, parts=True),
    ):
        yield
    # Weights that autocast cast without gradient must not be found again by the training pass.
    torch.clear_autocast_cache()
