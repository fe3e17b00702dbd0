"""When a method acts: a window of epochs, or of steps, around any method."""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoise.core.errors import check_choice, check_kind
from counterpoise.methods.method import Method, Needs, Phase, Signals
from counterpoise.methods.shared.composite import NOBODY, Composite
from counterpoise.methods.shared.counting import HostCount


class Windowed(Composite):
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
        check_kind("method", method, Method, "a method such as cp.AGM()")
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
        super().allocate(num_modalities, dtype)
        if self.unit == "steps":
            self.register_buffer("num_steps", torch.zeros((), dtype=torch.int64))

    def needs(self) -> Needs:
        """Return what the method needs inside the window."""
        return self.method.needs()

    def places(self) -> frozenset[str]:
        """Return the places of the method, and where the window itself has to know."""
        own = {"set_epoch"} | ({"advance"} if self.unit == "steps" else set())
        return super().places() | own

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
        # Not worked out in a step: a compiled one would be compiled anew in each epoch.
        self._phase = self._phase_at(epoch) if self.unit == "epochs" else "on"

    def advance(self) -> None:
        """Count the step."""
        super().advance()
        if self.unit == "epochs":
            return
        if torch.compiler.is_compiling():
            self.num_steps = self.num_steps + 1
            return
        step = self._count.read(self.num_steps)
        self.num_steps = self.num_steps + 1
        self._count.note(self.num_steps, step + 1)

    # -- places ------------------------------------------------------------------------------

    def members(self) -> list[Method]:
        """Return the method."""
        return [self.method]

    def told(self) -> list[Method]:
        """Return the method inside the window, nobody outside."""
        return [self.method] if self.phase() == "on" else []

    def asked(self, place: str) -> Method:
        """Return the method: outside the window a step asks nobody, but for how many there are."""
        return NOBODY if place == "substeps" and self.phase() != "on" else self.method

    def learning_rates(self) -> Tensor | None:
        """Return the method's factors inside the window, None outside."""
        factors = self.method.learning_rates()  # asked in any case, or it would miss being asked
        return factors if self.phase() == "on" else None

    def coefficients(self, signals: Signals) -> Tensor | None:
        """Return the method's coefficients; in a compiled step ones outside the window."""
        coefficients = self.method.coefficients(signals)
        if self.unit == "epochs" or coefficients is None or not torch.compiler.is_compiling():
            return coefficients
        inside = self.num_steps.ge(self.start) & self.num_steps.lt(self.stop)
        return coefficients.where(inside, torch.ones_like(coefficients))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
