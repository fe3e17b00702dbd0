"""The method contract: the places where a method of balancing may act.

``Balanced`` walks through one training step and asks its method at each place; a method answers
only where it has something to say. State lives in buffers, so that a method moves between
devices, checkpoints and averages over processes by itself. A method never trains, reads data or
knows the names of a model.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from counterpoise.nests import Nest

__all__ = ["Method", "Signals"]

Need = Literal["nothing", "values", "gradients"]


class Signals(NamedTuple):
    """What a method sees of a training step, after the forward passes and before the backward.

    Attributes:
        logits: Of the model, shape (B, ...), with graph.
        target: As given.
        responses: Mono-modal responses, shape (M, B, ...), with graph if the method needs
            "gradients"; None if it needs "nothing".
        scores: Mean loss of each response over the batch of all processes, shape (M,),
            detached; None without responses. NaN where a batch is empty.
        num_samples: How many samples the scores are the mean of, a scalar tensor.
        finite: Boolean, shape (M,): whether some coalition with the modality is finite.
    """

    logits: Tensor
    target: Nest
    responses: Tensor | None = None
    scores: Tensor | None = None
    num_samples: Tensor | None = None
    finite: Tensor | None = None


class Method(nn.Module):
    """A way of balancing modalities: subclass it and answer at the places that matter.

    Example: a method that halves the gradient of whichever modality is ahead.

        >>> class Halve(Method):
        ...     def needs(self):
        ...         return "gradients"
        ...     def coefficients(self, signals):
        ...         ahead = signals.scores == signals.scores.min()
        ...         return torch.where(ahead, 0.5, 1.0)
        >>> method = Halve()
        >>> method.bind(["audio", "image"])
        >>> method.coefficients(Signals(None, None, scores=torch.tensor([0.3, 1.2])))
        tensor([0.5000, 1.0000])
    """

    modalities: tuple[str, ...] = ()
    epoch: int = 0

    def bind(self, modalities: Sequence[str], dtype: torch.dtype = torch.float32) -> None:
        """Learn the modalities' names and make room for state, once, when a model is wrapped.

        Override :meth:`allocate`, not this.

        Raises:
            ValueError: If the method already serves another model: state is not shared.
        """
        if self.modalities:
            raise ValueError(
                f"`method` should serve one model; found a {type(self).__name__} that is already "
                f"bound to {', '.join(self.modalities)}. Make a new one for each Balanced."
            )
        self.modalities = tuple(modalities)
        self.allocate(len(self.modalities), dtype)

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Register the buffers that depend on the number of modalities. Default: none."""

    def needs(self) -> Need:
        """Return what the method needs of the coalitions at present.

        "nothing" (the default) costs a plain step; "values" gives responses and scores without
        gradient; "gradients" gives responses that can be modulated or trained.
        """
        return "nothing"

    def coefficients(self, signals: Signals) -> Tensor | None:
        """Place: the responses. Return the factor of each response's gradient, shape (M,).

        Called once a training step whenever the method needs anything, and may update state.
        None (the default) leaves the gradient as it is.
        """
        return None

    def loss(self, joint: Tensor, signals: Signals) -> Tensor:
        """Place: the loss. Return the scalar to minimise; by default the joint loss itself."""
        return joint

    def set_epoch(self, epoch: int) -> None:
        """Place: the epoch. Called by the training loop when epoch 0, 1, ... starts."""
        self.epoch = epoch

    def check(self) -> None:
        """Raise if state tells that something went wrong; waits for the device, so call rarely."""
