"""Scaling the gradients of parameters on their way into ``.grad``."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd import Variable

_NONE = -1


_REST = -1

EncoderRule = Callable[[Tensor, Tensor, nn.Parameter], Tensor]
"""From the gradient of an encoder's parameter, the modality's factor and the parameter itself."""

RestRule = Callable[[Tensor, nn.Parameter], Tensor]
"""From the gradient of a parameter that belongs to no modality, and the parameter."""


class _Scale(NamedTuple):
    """How the gradients of one step are scaled."""

    factors: Tensor | None = None
    encoder: EncoderRule | None = None
    rest: RestRule | None = None

    @property
    def acts(self) -> bool:
        return self.factors is not None or self.rest is not None


class _Pass:
    """A backward pass under way. PyTorch holds it, and lets go of it where the pass fails too."""

    __slots__ = ("__weakref__", "scale")

    def __init__(self, scale: _Scale) -> None:
        self.scale = scale

    def __call__(self) -> None:
        """Do nothing, when the pass is over."""


class GradientScaling:
    """Scales the gradients of each modality's parameters, each step's by its own factors.

    Tensor hooks run on each backward pass, before gradients are accumulated or averaged over
    processes. One on the logits says which step the pass is of, so that several steps may go
    forward before any goes backward. A copy starts without hooks and gets its own on its own
    parameters.
    """

    def __init__(self) -> None:
        self._hooked: dict[int, Any] = {}
        self._scale = _Scale()  # of a compiled step
        self._pass: Callable[[], _Pass | None] = _no_pass
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
        """Hook the parameters of each modality's encoder that are not hooked yet.

        Raises:
            RuntimeError: If one is a part of a parameter, as processes hold it between steps: its
                gradient never comes by here.
        """
        for index, several in enumerate(parameters):
            self._attach(index, several)

    def attach_rest(self, parameters: Sequence[nn.Parameter]) -> None:
        """Hook parameters that belong to no modality and are not hooked yet."""
        self._attach(_REST, parameters)

    def _attach(self, index: int, parameters: Sequence[nn.Parameter]) -> None:
        for p in parameters:
            known = self._hooked.get(id(p))
            if p.requires_grad and (known is None or known() is not p):
                check_whole([p])
                reference = weakref.ref(p)
                p.register_hook(partial(self._apply, index, reference))  # type: ignore[no-untyped-call]
                self._hooked[id(p)] = reference

    def set(
        self,
        logits: Tensor,
        factors: Tensor | None,
        encoder: EncoderRule,
        rest: RestRule | None = None,
    ) -> None:
        """Say what the backward pass through the logits makes of gradients.

        It holds for passes through these logits and for no other: when such a pass ends, gradients
        are left alone again, for whoever trains the model next. In a compiled graph, where logits
        cannot say which pass goes through them, it holds until the next step: for each step its
        backward pass should come before the next step.

        Args:
            logits: Of the step.
            factors: Shape (M,), for the encoders; None: leave their gradients alone.
            encoder: What a gradient of an encoder's parameter becomes.
            rest: What one of a parameter of no modality becomes; None: leave it alone.

        Raises:
            RuntimeError: In the backward pass, if it goes through the logits of two steps at
                once: their gradients arrive as one sum, which no factor fits.
        """
        scale = _Scale(factors, encoder, rest)
        if torch.compiler.is_compiling():
            self._scale, self._backward = scale, _NONE
        elif logits.requires_grad:
            logits.register_hook(partial(self._begin, scale))  # type: ignore[no-untyped-call]

    def _begin(self, scale: _Scale, gradient: Tensor) -> None:
        backward, before = torch._C._current_graph_task_id(), self._in_force()
        if backward == self._backward and scale is not before and (scale.acts or before.acts):
            raise RuntimeError(
                "A backward pass should go through one training step where the method scales the "
                "gradients of encoders; found two steps in one. Call `loss.backward()` for each: "
                "their gradients add up."
            )
        self._scale, self._backward = _Scale(), backward
        # Passes within this one, of checkpoints, have numbers of their own and end before.
        Variable._execution_engine.queue_callback(self._begun(scale))

    def _begun(self, scale: _Scale) -> _Pass:
        # Nobody but PyTorch is to hold it, nor a frame that the traceback of an error keeps: what
        # is called back when a pass ends is not called after an error, but let go of.
        begun = _Pass(scale)
        self._pass = weakref.ref(begun)
        return begun

    def _in_force(self) -> _Scale:
        under_way = self._pass()
        return self._scale if under_way is None else under_way.scale

    def _apply(self, index: int, reference: Any, gradient: Tensor) -> Tensor:
        factors, encoder, rest = self._in_force()
        if index == _REST:
            changed = gradient if rest is None else rest(gradient, reference())
        elif factors is None or encoder is None:
            changed = gradient
        else:
            changed = encoder(gradient, factors[index].to(gradient.dtype), reference())
        if changed.layout == gradient.layout:
            return changed
        return changed.to_sparse(gradient.sparse_dim())  # of an embedding, as it has to stay


def check_whole(parameters: Iterable[nn.Parameter]) -> None:
    """Raise if a parameter is a part of one, as processes hold it between steps."""
    if any(hasattr(p, "full_tensor") for p in parameters):
        raise RuntimeError(
            "Parameters that a method goes by, or whose gradients it changes, should be whole in a "
            "step; found some that are sharded by themselves, within the wrapper. Shard the "
            "wrapper as one: fully_shard(balanced)."
        )


def _no_pass() -> None:
    return None
