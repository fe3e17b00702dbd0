"""Answering the calls of some modules for a while, without rewriting them.

During the block the ``forward`` of a module is shadowed by an attribute of the instance, which is
removed again. Hooks that the user registered keep running on what is answered, as they did on what
was computed. Of a module that is compiled in place (``module.compile()``) the compiled call is
shadowed instead, hooks and all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from torch import nn

COMPILED = "_compiled_call_impl"
"""Where PyTorch keeps how a module is called that was compiled in place."""


class Route(NamedTuple):
    """Who answers the calls of a module.

    Attributes:
        module: Whose calls are answered.
        key: Handed to ``handler``.
        handler: Called with (key, the module's own forward, *args, **kwargs).
    """

    module: nn.Module
    key: Any
    handler: Callable[..., Any]


class Interception:
    """Lets routes answer for a while, the first one innermost."""

    # `__dict__` is written directly because `del module.forward`, which would say it better, makes
    # torch.compile delete at run time an attribute that it only ever set while tracing.
    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes
        self._shadowed: list[tuple[str, Any]] = []

    def __enter__(self) -> None:
        for module, key, handler in self._routes:
            own = module.__dict__
            name = "forward" if own.get(COMPILED) is None else COMPILED
            # Somebody else may have shadowed it before: a library that traces or offloads, or we,
            # where an encoder is a normalisation layer.
            self._shadowed.append((name, own.get(name)))
            own[name] = partial(handler, key, getattr(module, name))

    def __exit__(self, *exception: object) -> None:
        for module, _, _ in reversed(self._routes):
            name, shadowed = self._shadowed.pop()
            module.__dict__.pop(name)
            if shadowed is not None:
                module.__dict__[name] = shadowed
