"""Scaling the gradients of parameters on their way into ``.grad``."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Variable

__all__ = ["GradientScaling"]


_NONE = -1


class _Scale(NamedTuple):
    """How the gradients of one step are scaled: ``function(gradient, factors[m])``."""

    factors: Tensor | None = None
    function: Callable[[Tensor, Tensor], Tensor] | None = None


class GradientScaling:
    """Scales the gradients of each modality's parameters, each step's by its own factors.

    Tensor hooks run on each backward pass, before gradients are accumulated or averaged over
    processes. One on the logits says which step the pass is of, so that several steps may go
    forward before any goes backward. A copy starts without hooks and gets its own on its own
    parameters.
    """

    def __init__(self) -> None:
        self._hooked: dict[int, Any] = {}
        self._scale = _Scale()
        self._backward = _NONE  # number of the backward pass that is scaled

    def __deepcopy__(self, memo: dict[int, Any]) -> GradientScaling:
        return GradientScaling()

    def __reduce__(self) -> tuple[type[GradientScaling], tuple[()]]:
        return GradientScaling, ()

    @property
    def attached(self) -> bool:
        """Whether any parameter is hooked, which cannot be done within a compiled graph."""
        return bool(self._hooked)

    def attach(self, parameters: Sequence[Sequence[nn.Parameter]]) -> None:
        """Hook the parameters of each modality that are not hooked yet."""
        for index, several in enumerate(parameters):
            for p in several:
                known = self._hooked.get(id(p))
                if p.requires_grad and (known is None or known() is not p):
                    p.register_hook(partial(self._apply, index))  # type: ignore[no-untyped-call]
                    self._hooked[id(p)] = weakref.ref(p)

    def set(
        self,
        logits: Tensor,
        factors: Tensor | None,
        function: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        """Say how the backward pass through the logits scales: ``function(gradient, factors[m])``.

        It holds for passes through these logits and for no other: when such a pass ends, gradients
        are left alone again, for whoever trains the model next. In a compiled graph, where logits
        cannot say which pass goes through them, it holds until the next step: for each step its
        backward pass should come before the next step.

        Args:
            logits: Of the step.
            factors: Shape (M,); None: not at all.
            function: From a parameter's gradient and its modality's factor to what it becomes.

        Raises:
            RuntimeError: In the backward pass, if it goes through the logits of two steps at
                once: their gradients arrive as one sum, which no factor fits.
        """
        scale = _Scale(factors, function)
        if torch.compiler.is_compiling():
            self._scale, self._backward = scale, _NONE
        elif logits.requires_grad:
            logits.register_hook(partial(self._begin, scale))  # type: ignore[no-untyped-call]

    def _begin(self, scale: _Scale, gradient: Tensor) -> None:
        backward = torch._C._current_graph_task_id()
        acts = scale.factors is not None or self._scale.factors is not None
        if backward == self._backward and scale is not self._scale and acts:
            self._forget()  # what is called back at the end of a pass is not after an error
            raise RuntimeError(
                "A backward pass should go through one training step where the method scales the "
                "gradients of encoders; found two steps in one. Call `loss.backward()` for each: "
                "their gradients add up."
            )
        self._scale, self._backward = scale, backward
        # Passes within this one, of checkpoints, have numbers of their own and end before.
        Variable._execution_engine.queue_callback(self._forget)

    def _forget(self) -> None:
        self._scale, self._backward = _Scale(), _NONE

    def _apply(self, index: int, gradient: Tensor) -> Tensor:
        factors, function = self._scale
        if factors is None or function is None:
            return gradient
        return function(gradient, factors[index].to(gradient.dtype))
