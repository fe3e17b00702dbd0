"""When a method acts: a window of epochs, or of steps, around any method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_choice
from counterpoise.core.pytree import PyTree
from counterpoise.methods.method import Evaluation, Features, Method, Needs, Phase, Signals
from counterpoise.methods.shared.counting import HostCount

__all__ = ["Windowed"]


class Windowed(Method):
    """Lets a method act from ``start`` on and before ``stop`` alone.

    Before the window a method that acts on responses, as AGM does, learns from them without
    touching the gradient, at the cost of their forward passes; any other costs nothing. After
    the window a step is a plain one.

    Args:
        method: Any method.
        start: First epoch or step of the window, from 0.
        stop: The one after the last, above ``start``; ``float("inf")`` for no end.
        unit: "epochs", which the training loop tells by ``balanced.method.set_epoch(epoch)``;
            or "steps", counted by itself, each call in training mode being one.

    Attributes:
        num_steps: Steps so far, in a buffer; with ``unit="steps"`` alone.

    Learning rates are left alone outside the window, validation is not handed on, and nothing is
    ever finished. Under ``torch.compile`` what a graph computes cannot depend on the step:
    windows in steps are for methods that act on responses alone, cost as much outside as inside,
    and let the method go on learning after the window.

    Raises:
        TypeError: If ``method`` is not a method.
        ValueError: Unless 0 <= start < stop, or if the unit is unknown.

    Example: AGM as the released code runs it by default, in the first 20 epochs (the authors
    state the whole run for their results).

        >>> import counterpoise as cp
        >>> method = cp.Windowed(cp.AGM(alpha=1.0), 0, 20)
        >>> for epoch in (0, 19, 20):
        ...     method.set_epoch(epoch)
        ...     print(epoch, method.phase())
        0 on
        19 on
        20 off
    """

    num_steps: Tensor

    def __init__(
        self, method: Method, start: float = 0, stop: float = float("inf"), unit: str = "epochs"
    ) -> None:
        super().__init__()
        if not isinstance(method, Method):
            raise TypeError(
                f"`method` should be a method such as cp.AGM(); found {method!r}. Pass an object."
            )
        check_choice("unit", unit, ("epochs", "steps"))
        if not (_is_number(start) and _is_number(stop) and 0 <= start < stop):
            raise ValueError(
                "`start` and `stop` should be numbers with 0 <= start < stop; found "
                f"{start!r} and {stop!r}. Use float('inf') as stop for no end."
            )
        self.method, self.start, self.stop, self.unit = method, start, stop, unit
        self.tasks = method.tasks
        self._count = HostCount()
        self._learns = "coefficients" in method.places() and method.needs().responses != "nothing"
        self._phase: Phase = self._phase_at(0) if unit == "epochs" else "on"

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Bind the method, and count steps where they matter."""
        self.method.bind(self.modalities, dtype)
        if self.unit == "steps":
            self.register_buffer("num_steps", torch.zeros((), dtype=torch.int64))

    def needs(self) -> Needs:
        """Return what the method needs inside the window."""
        return self.method.needs()

    def places(self) -> frozenset[str]:
        """Return the places of the method, and where the window itself has to know."""
        own = {"set_epoch"} | ({"advance"} if self.unit == "steps" else set())
        return self.method.places() | own

    def title(self) -> str:
        """Return what the method in the window is called."""
        return self.method.title()

    # -- time --------------------------------------------------------------------------------

    def phase(self) -> Phase:
        """Return the method's own phase in the window; before it "watch" where it learns so."""
        if self.unit == "epochs":
            return self._phase if self._phase != "on" else self.method.phase()
        if not torch.compiler.is_compiling():
            phase = self._phase_at(self._count.read(self.num_steps))
            return phase if phase != "on" else self.method.phase()
        if self.method.places() - {"coefficients", "set_epoch", "check", "diagnostics"}:
            raise RuntimeError(
                f"A window in steps should be around a method that acts on responses alone under "
                f"torch.compile; found {self.title()}. Give the window in epochs."
            )
        return self.method.phase()

    def _phase_at(self, now: int) -> Phase:
        if now < self.start:
            return "watch" if self._learns else "off"
        return "on" if now < self.stop else "off"

    def set_epoch(self, epoch: int) -> None:
        """Learn the epoch, and whether it lies in the window."""
        super().set_epoch(epoch)
        self.method.set_epoch(epoch)
        # Not worked out in a step: a compiled one would be compiled anew in each epoch.
        self._phase = self._phase_at(epoch) if self.unit == "epochs" else "on"

    def advance(self) -> None:
        """Count the step."""
        self.method.advance()
        if self.unit == "epochs":
            return
        if torch.compiler.is_compiling():
            self.num_steps = self.num_steps + 1
            return
        step = self._count.read(self.num_steps)
        self.num_steps = self.num_steps + 1
        self._count.note(self.num_steps, step + 1)

    # -- places, asked inside the window alone -----------------------------------------------

    def substeps(self, target: PyTree, unimodal: Callable[[], Tensor]) -> Iterator[Tensor | None]:
        """Yield the method's steps inside the window, one outside."""
        method: Method = self.method if self._is_on() else Method()
        yield from method.substeps(target, unimodal)

    def inputs(self, inputs: Mapping[str, PyTree], target: PyTree) -> Mapping[str, PyTree]:
        """Return what the method makes of the data."""
        return self.method.inputs(inputs, target)

    def feature(self, index: int, feature: PyTree) -> PyTree:
        """Return what the method makes of a feature."""
        return self.method.feature(index, feature)

    def unimodal_logits(self, features: Sequence[PyTree], logits: Tensor) -> Tensor | None:
        """Return logits of the method's own heads; also outside the window, as in evaluation."""
        return self.method.unimodal_logits(features, logits)

    def coefficients(self, signals: Signals) -> Tensor | None:
        """Return the method's coefficients; in a compiled step ones outside the window."""
        coefficients = self.method.coefficients(signals)
        if self.unit == "epochs" or coefficients is None or not torch.compiler.is_compiling():
            return coefficients
        inside = self.num_steps.ge(self.start) & self.num_steps.lt(self.stop)
        return coefficients.where(inside, torch.ones_like(coefficients))

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Return the method's loss."""
        return self.method.loss(joint, signals)

    def modality_losses(self, signals: Signals) -> Tensor | None:
        """Return the method's losses of the modalities."""
        return self.method.modality_losses(signals)

    def combine(self, joint: Tensor, own_M: Tensor, signals: Signals) -> Tensor:
        """Return what the method makes of them and the joint loss."""
        return self.method.combine(joint, own_M, signals)

    def encoder_factors(self, signals: Signals) -> Tensor | None:
        """Return the method's factors."""
        return self.method.encoder_factors(signals)

    def encoder_gradient(self, gradient: Tensor, factor: Tensor, parameter: nn.Parameter) -> Tensor:
        """Return what the method makes of an encoder's gradient."""
        return self.method.encoder_gradient(gradient, factor, parameter)

    def rest_gradient(self, gradient: Tensor, parameter: nn.Parameter) -> Tensor:
        """Return what the method makes of the gradient of fusion and head."""
        return self.method.rest_gradient(gradient, parameter)

    def diagnostics(self) -> dict[str, Tensor]:
        """Return the method's."""
        return self.method.diagnostics()

    # -- places between steps ----------------------------------------------------------------

    def learning_rates(self) -> Tensor | None:
        """Return the method's factors inside the window, None outside."""
        factors = self.method.learning_rates()
        return factors if self._is_on() else None

    def on_epoch(self, encoders: Sequence[nn.Module], features: Callable[[], Features]) -> None:
        """Hand encoders and features on, inside the window."""
        if self._is_on():
            self.method.on_epoch(encoders, features)

    def on_validation(
        self, evaluation: Evaluation, branches: Sequence[Sequence[nn.Module]]
    ) -> None:
        """Hand validation on, inside the window."""
        if self._is_on():
            self.method.on_validation(evaluation, branches)

    def finished(self) -> bool:
        """Return whether the method has finished, inside the window."""
        return self._is_on() and self.method.finished()

    def check(self) -> None:
        """Let the method check itself."""
        self.method.check()

    def _is_on(self) -> bool:
        return self.phase() == "on"


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
