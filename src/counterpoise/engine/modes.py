"""The modules of a model; and eval mode for a while, with every flag restored as it was."""

from __future__ import annotations

from collections.abc import Iterable
from operator import is_
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

_ATTENTIVE = (nn.MultiheadAttention, nn.TransformerEncoder, nn.TransformerEncoderLayer)


class Modules(NamedTuple):
    """All modules of a model, and those that the engine treats differently.

    Attributes:
        all: In no particular order.
        own: Of classes that are not PyTorch's, which may keep things while they run.
        norms: That keep, or may keep, statistics of what they normalise.
        attentive: That have a fast path in eval mode.
    """

    all: list[nn.Module]
    own: list[nn.Module]
    norms: list[_NormBase]
    attentive: list[nn.Module]

    @classmethod
    def of(cls, model: nn.Module, before: Modules | None = None) -> Modules:
        """Return those of a model: those of ``before`` if they are the same, sorted already."""
        found = modules_of(model)
        same = len(found) == len(before.all) if before else False
        if before and same and all(map(is_, found, before.all)):
            return before
        return cls(
            found,
            [m for m in found if not type(m).__module__.startswith("torch.")],
            [m for m in found if isinstance(m, _NormBase)],
            [m for m in found if isinstance(m, _ATTENTIVE)],
        )


def modules_of(model: nn.Module) -> list[nn.Module]:
    """Return all modules of a model, as ``list(model.modules())`` does, several times faster."""
    if torch.compiler.is_compiling():
        return list(model.modules())
    seen: dict[int, nn.Module] = {id(model): model}
    waiting = [model]
    while waiting:
        for child in waiting.pop()._modules.values():
            if child is not None and id(child) not in seen:
                seen[id(child)] = child
                waiting.append(child)
    return list(seen.values())


def submodule(model: nn.Module, path: str) -> nn.Module:
    """Return the module at a path, as ``model.get_submodule(path)`` does, several times faster."""
    module: nn.Module | None = model
    for name in path.split("."):
        module = None if module is None else module._modules.get(name)
    if module is not None:
        return module
    try:
        return model.get_submodule(path)
    except AttributeError as error:
        raise ValueError(
            "The model should keep its encoders, heads and branches where they were when it was "
            f"wrapped; found no module at {path!r} ({error}). Wrap the model anew."
        ) from error


class EvaluationMode:
    """Puts modules in eval mode for a while; every flag is restored as it was.

    The flags are set directly and not by ``eval()``, which modules may override with side
    effects (merging adapters, say) and which could not restore a frozen batch-norm.

    Args:
        modules: All modules of the model.
        for_backward: Whether what is computed will be gone backward through.
        copies: Whether the next pass in train mode may come before that backward pass, and move
            the running statistics of normalisation layers, which it reads: it is then given
            copies of them to read.
    """

    def __init__(
        self, modules: Iterable[nn.Module], *, for_backward: bool = False, copies: bool = False
    ) -> None:
        self._switched: list[nn.Module] = []
        self._dropout: list[tuple[nn.RNNBase, float]] = []
        self._statistics: list[tuple[nn.Module, str, Tensor]] = []
        copies = copies and not torch.compiler.is_compiling()
        for module in modules:
            if not module.training:
                continue
            if for_backward and isinstance(module, nn.RNNBase):
                # cuDNN has no backward pass of recurrent layers in eval mode. All that their mode
                # decides is dropout between layers, so that goes instead.
                self._dropout.append((module, module.dropout))
                continue
            self._switched.append(module)
            if copies and isinstance(module, _NormBase):
                for name in ("running_mean", "running_var"):
                    if (statistic := getattr(module, name)) is not None:
                        self._statistics.append((module, name, statistic))

    def __enter__(self) -> None:
        set_mode(self._switched, training=False)
        for recurrent, _ in self._dropout:
            recurrent.dropout = 0.0
        if self._statistics:
            # One launch for all of them, where a clone of each would be dozens.
            copies = torch._foreach_add([statistic for _, _, statistic in self._statistics], 0.0)
            for (module, name, _), copy in zip(self._statistics, copies, strict=True):
                module._buffers[name] = copy

    def __exit__(self, *exception: object) -> None:
        set_mode(self._switched, training=True)
        for recurrent, dropout in self._dropout:
            recurrent.dropout = dropout
        for module, name, statistic in self._statistics:
            module._buffers[name] = statistic


def set_mode(modules: Iterable[nn.Module], *, training: bool) -> None:
    """Put each of some modules, and no part of it, into train or eval mode."""
    # nn.Module.__setattr__ is slow, and this is done twice a step to each module of a model.
    # Scripted modules, and those that make a property of the flag, keep it elsewhere.
    compiling = torch.compiler.is_compiling()
    for module in modules:
        if "training" in module.__dict__ and not compiling:
            module.__dict__["training"] = training
        else:
            module.training = training
