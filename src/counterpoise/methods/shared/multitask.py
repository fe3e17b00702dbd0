"""The common part of methods that train each modality's own logits beside the joint ones."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_choice, check_mapping, suggestion
from counterpoise.core.pytree import PyTree, map_tensors
from counterpoise.methods.method import Method, Needs, Signals
from counterpoise.methods.shared.heads import Heads, LinearHead
from counterpoise.methods.shared.losses import criteria
from counterpoise.methods.shared.settings import PerModality, per_modality


class Multitask(Method):
    """Has a loss for each modality: w_m times the criterion of its own logits.

    The logits are those of heads of the method's own if it has any; else those of the additive
    heads that the model was wrapped with; else what the model answers to each modality's features
    with the others' at zero, or the responses where encoders are not known.

    Args:
        heads: Modality to a module that maps the output of its encoder to logits; or "linear":
            a :class:`~counterpoise.methods.shared.heads.LinearHead` for each. They are part of the
            method, trained with the rest, not with a branch; on detached features where the
            modality's weight is 0: heads that only tell have to learn too. None: as above.
        weights: w_m, at least 0: one for all modalities, one each, or one each by name.

    Raises:
        ValueError: If heads are a name, and not "linear"; when a model is wrapped, if weights or
            heads do not match the modalities.
    """

    asks: ClassVar[Needs] = Needs()
    """What the method needs beside what its losses need."""

    weights_M: Tensor
    _weights: Sequence[float] = ()

    def __init__(self, heads: Heads | None, weights: PerModality = 1.0) -> None:
        super().__init__()
        self._given_weights = weights
        self._linear = isinstance(heads, str)
        if isinstance(heads, str):
            check_choice("heads", heads, ("linear",))
            heads = {}  # until the modalities are known
        if heads is not None:
            check_mapping("heads", heads, nn.Module, "each modality to a module, or be 'linear'")
        self.heads = None if heads is None else nn.ModuleDict(dict(heads))

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Learn the weights; make linear heads, or check that there is one for each modality."""
        if self._linear:
            self.heads = nn.ModuleDict({n: LinearHead(n, dtype) for n in self.modalities})
        names = self.modalities if self.heads is None else tuple(self.heads)
        for name in (*names, *self.modalities):
            if name not in self.modalities or name not in names:
                raise ValueError(
                    f"`heads` should have a head for each of {', '.join(self.modalities)}; found "
                    f"{', '.join(names)}.{suggestion(name, self.modalities)} Name each once."
                )
        weights = per_modality("weights", self._given_weights, self.modalities, default=1.0)
        self._weights = weights
        weights_M = torch.tensor(self.loss_weights(weights), dtype=dtype)
        self.register_buffer("weights_M", weights_M, persistent=False)

    def trains_encoder(self, index: int) -> bool:
        """Return whether the own loss of modality number ``index`` trains its encoder."""
        return self._weights[index] > 0

    def trains_unimodal(self) -> bool:
        """Return whether the modalities' losses train anything: an encoder, or an own head."""
        indices = range(len(self.modalities))
        return self.heads is not None or any(self.trains_encoder(index) for index in indices)

    def loss_weights(self, weights: Sequence[float]) -> list[float]:
        """Return the weights of losses, with 1 for 0 where an own head learns beside the model."""
        return [weight or float(self.heads is not None) for weight in weights]

    def needs(self) -> Needs:
        """Return ``asks``, with gradients of logits that are trained; features for own heads."""
        if self.heads is not None:
            return self.asks._replace(features=True, unimodal_logits="nothing")
        if self.trains_unimodal():
            return self.asks._replace(unimodal_logits="gradients")
        return self.asks

    def places(self) -> frozenset[str]:
        """Return the places that are overridden; without heads there is nothing to ask them."""
        places = super().places()
        return places if self.heads is not None else places - {"unimodal_logits"}

    def unimodal_logits(self, features: Sequence[PyTree], logits: Tensor) -> Tensor | None:
        """Return the logits of the method's own heads, shape (M, B, ...); None without heads."""
        if self.heads is None:
            return None
        more = (logits,) if self._linear else ()
        unimodal = []
        for index, (name, feature) in enumerate(zip(self.modalities, features, strict=True)):
            trains = self.trains_encoder(index)
            seen = feature if trains else map_tensors(Tensor.detach, feature)
            unimodal.append(self.heads[name](seen, *more))
        return torch.stack(unimodal)

    def unimodal_losses(self, signals: Signals) -> Tensor:
        """Return the loss of each modality's own logits, shape (M,), with graph."""
        assert signals.unimodal_logits is not None
        return criteria(signals.unimodal_logits, signals)

    def modality_losses(self, signals: Signals) -> Tensor | None:
        """Return the weighted losses of the modalities, shape (M,); None if they train nothing."""
        if not self.trains_unimodal():
            return None
        losses = self.unimodal_losses(signals)
        return losses * self.weights_M.to(losses)

    def settings(self) -> dict[str, Any]:
        """Return the arguments that the method was made with, for a run's record."""
        kept = {name: getattr(self, name) for name in signature(type(self)).parameters}
        if self._linear:
            kept["heads"] = "linear"
        elif self.heads is not None:
            kept["heads"] = {name: repr(head) for name, head in self.heads.items()}
        return kept
