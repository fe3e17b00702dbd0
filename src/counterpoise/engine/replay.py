"""Intercepting the calls of a module's encoders, so that their outputs can be replayed.

The user's module is never rewritten: during one pass the encoders' ``forward`` is shadowed by an
attribute of the instance, which is removed again. Hooks that the user registered on an encoder
keep running on what is replayed, as they did on what was computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

__all__ = ["Answer", "EvaluationMode", "Interception", "resolve"]

Answer = Callable[[int, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""What to return for a call: (encoder's index, its own forward, args, kwargs) -> output."""


class EvaluationMode:
    """Puts a module in eval mode for a while; every submodule's flag is restored as it was.

    The flags are set directly and not by ``eval()``, which modules may override with side
    effects (merging adapters, say) and which could not restore a frozen batch-norm.

    Args:
        module: The model.
        for_backward: Whether what is computed will be gone backward through, perhaps after the
            next pass in train mode has moved the running statistics of normalisation layers,
            which their backward reads: it is then given copies of them to read.
    """

    def __init__(self, module: nn.Module, *, for_backward: bool = False) -> None:
        self._switched = [each for each in module.modules() if each.training]
        self._statistics: list[tuple[nn.Module, str, Tensor]] = []
        if for_backward and not torch.compiler.is_compiling():
            self._statistics = [
                (each, name, statistic)
                for each in self._switched
                if isinstance(each, _NormBase)
                for name in ("running_mean", "running_var")
                if (statistic := getattr(each, name)) is not None
            ]

    def __enter__(self) -> None:
        for module in self._switched:
            _set_mode(module, training=False)
        if self._statistics:
            # One launch for all of them, where a clone of each would be dozens.
            copies = torch._foreach_add([statistic for _, _, statistic in self._statistics], 0.0)
            for (module, name, _), copy in zip(self._statistics, copies, strict=True):
                module._buffers[name] = copy

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for module in self._switched:
            _set_mode(module, training=True)
        for module, name, statistic in self._statistics:
            module._buffers[name] = statistic


def _set_mode(module: nn.Module, *, training: bool) -> None:
    # nn.Module.__setattr__ is slow, and this is done twice a step to each module of a model.
    # Scripted modules, and those that make a property of the flag, keep it elsewhere.
    if "training" in module.__dict__ and not torch.compiler.is_compiling():
        module.__dict__["training"] = training
    else:
        module.training = training


class Interception:
    """Routes the calls of some modules through a function for a while.

    Args:
        modules: The encoders, in order of modality; None where a modality has none.
        answer: Called instead of each encoder's ``forward``.
    """

    def __init__(self, modules: Sequence[nn.Module | None], answer: Answer) -> None:
        self._routes = [(m, _Route(i, m, answer)) for i, m in enumerate(modules) if m is not None]

    # `__dict__` is written directly because `del module.forward`, which would say it better, makes
    # torch.compile delete at run time an attribute that it only ever set while tracing.
    def __enter__(self) -> None:
        for module, route in self._routes:
            module.__dict__["forward"] = route

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for module, route in self._routes:
            module.__dict__.pop("forward")
            if route.shadowed is not None:
                module.__dict__["forward"] = route.shadowed


class _Route:
    """The callable that stands in for an encoder's forward."""

    def __init__(self, index: int, module: nn.Module, answer: Answer) -> None:
        self.index, self.answer, self.forward = index, answer, module.forward
        # Somebody else (a tracing or offloading library) may have shadowed it before us.
        self.shadowed: Callable[..., Any] | None = module.__dict__.get("forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.answer(self.index, self.forward, args, kwargs)


def resolve(model: nn.Module, paths: Mapping[str, str], modalities: Sequence[str]) -> list[Any]:
    """Return the module at each modality's path, None for modalities without one."""
    return [model.get_submodule(paths[name]) if name in paths else None for name in modalities]
