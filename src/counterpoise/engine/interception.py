"""Answering the calls of some modules for a while, without rewriting them.

During the block the ``forward`` of a module is shadowed by an attribute of the instance, which is
removed again. Hooks that the user registered keep running on what is answered, as they did on what
was computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from torch import nn


class Route:
    """The callable that stands in for a module's forward while it is installed.

    Args:
        module: Whose calls are answered.
        key: Handed to ``handler``.
        handler: Called with (key, the module's own forward, args, kwargs).
    """

    def __init__(self, module: nn.Module, key: Any, handler: Callable[..., Any]) -> None:
        self.module, self.key, self.handler = module, key, handler

    # `__dict__` is written directly because `del module.forward`, which would say it better, makes
    # torch.compile delete at run time an attribute that it only ever set while tracing.
    def install(self) -> None:
        """Shadow the module's forward."""
        # Somebody else may have shadowed it before: a library that traces or offloads, or we,
        # where an encoder is a normalisation layer.
        self.shadowed = self.module.__dict__.get("forward")
        self.forward = self.module.forward
        self.module.__dict__["forward"] = self

    def remove(self) -> None:
        """Give the module its forward back."""
        self.module.__dict__.pop("forward")
        if self.shadowed is not None:
            self.module.__dict__["forward"] = self.shadowed

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Answer a call."""
        return self.handler(self.key, self.forward, args, kwargs)


class Interception:
    """Installs routes for a while, the first one innermost."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes

    def __enter__(self) -> None:
        for route in self._routes:
            route.install()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for route in reversed(self._routes):
            route.remove()
