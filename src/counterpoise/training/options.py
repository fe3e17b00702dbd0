"""Options of a run beside data, method and model: how long, on which device, how precisely."""

from __future__ import annotations

from dataclasses import dataclass

from counterpoise.core.errors import check_choice, check_count, check_flag, check_range, check_text

PRECISIONS = ("32-true", "64-true", "bf16-mixed", "16-mixed")
"""Number formats in which a run can compute."""


_ACCELERATORS = ("auto", "cpu", "cuda", "gpu", "mps", "tpu")


def _registered_accelerators() -> set[str]:
    """Names that Lightning knows, among them those that other packages have registered."""
    from lightning.pytorch.accelerators import AcceleratorRegistry  # which takes seconds

    return set(AcceleratorRegistry.available_accelerators())


@dataclass(frozen=True)
class TrainerOptions:
    """Options of the training loop, named as in Lightning's Trainer where it has them.

    Args:
        max_epochs: How many times the training data are gone through, at least 1.
        log_every_n_steps: Steps between two records of loss, scores and coefficients. Each
            record waits for the device, so a small number slows a fast accelerator down.
        gradient_clip_val: Largest norm of the whole gradient. None: no clipping.
        accumulate_grad_batches: Batches whose gradients are averaged for one optimiser step.
        precision: "32-true", "64-true", "bf16-mixed" or "16-mixed".
        accelerator: "auto", "cpu", "gpu" or whatever else Lightning knows.
        devices: How many devices on each node; with more than one, training is distributed.
        num_nodes: How many machines.
        strategy: How to distribute; "auto" is DDP where there is more than one device.
        deterministic: Whether only operations are allowed that give the same bits each time. A
            run that was killed can only then be resumed bit by bit on an accelerator. Where an
            operation has no such version, PyTorch says which, and False allows it.
        num_threads: Threads of the processor that computations are split over; results depend on
            it in the last bits. 1 is quickest for small networks, and where processes share
            the processor. None: PyTorch's choice.
        checkpoint_every_n_steps: Optimiser steps between two checkpoints within an epoch, for
            long epochs. None: one at the end of each epoch.

    Raises:
        ValueError: If a value is out of range, or a name not known.
        TypeError: If a count is not an integer.

    Example:
        >>> TrainerOptions(max_epochs=0)
        Traceback (most recent call last):
        ValueError: `max_epochs` should be at least 1; found 0. Pass 1 or more.
    """

    max_epochs: int = 20
    log_every_n_steps: int = 10
    gradient_clip_val: float | None = None
    accumulate_grad_batches: int = 1
    precision: str = "32-true"
    accelerator: str = "auto"
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    deterministic: bool = True
    num_threads: int | None = None
    checkpoint_every_n_steps: int | None = None

    def __post_init__(self) -> None:
        counts = (
            "max_epochs",
            "log_every_n_steps",
            "accumulate_grad_batches",
            "devices",
            "num_nodes",
        )
        for name in counts:
            check_count(name, getattr(self, name), at_least=1)
        for name in ("num_threads", "checkpoint_every_n_steps"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), at_least=1)
        if self.gradient_clip_val is not None:
            check_range("gradient_clip_val", self.gradient_clip_val, low=0, open_low=True)
        check_flag("deterministic", self.deterministic)
        check_text("strategy", self.strategy)
        check_choice("precision", self.precision, PRECISIONS)
        if self.accelerator not in _ACCELERATORS:
            known = {*_ACCELERATORS, *_registered_accelerators()}
            check_choice("accelerator", self.accelerator, sorted(known))

    @property
    def num_processes(self) -> int:
        """How many processes take part in the run: one for each device."""
        return self.devices * self.num_nodes
