"""Heads of a method's own: what maps one modality's feature to logits beside the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import UninitializedParameter, is_lazy

from counterpoise.core.pytree import PyTree

Heads = Mapping[str, nn.Module] | str
"""A module for each modality that maps its encoder's output to logits, or "linear"."""


class LinearHead(nn.Module):
    """Maps a feature, all of its values in a row, to logits; takes its sizes from the first batch.

    Until then its parameters are uninitialised: an optimiser may have them already, DDP and
    ``torch.compile`` may not. ``balanced.validate`` sizes them too. Weights are drawn from torch's
    global generator, as those of ``torch.nn.Linear`` are.

    Args:
        name: Of the modality, for errors.
        dtype: Of the weights.

    Example:
        >>> head = LinearHead("image", torch.float32)
        >>> head(torch.zeros(2, 3, 4, 4), torch.zeros(2, 10)).shape
        torch.Size([2, 10])
        >>> head.weight.shape
        torch.Size([10, 48])
    """

    weight: nn.Parameter | UninitializedParameter
    bias: nn.Parameter | UninitializedParameter

    def __init__(self, name: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.name = name
        self.weight, self.bias = UninitializedParameter(), UninitializedParameter()
        self.to(dtype)

    def forward(self, feature: PyTree, logits: Tensor) -> Tensor:
        """Return logits (B, C) of a feature (B, ...), where the joint logits are (B, C).

        Raises:
            ValueError: If the feature or the logits are of another form, or the feature has
                another size than the first one.
        """
        remedy = "Pass `heads` of your own instead of 'linear'."
        if not isinstance(feature, Tensor) or feature.ndim < 2 or len(feature) != len(logits):
            shape = ""
            if isinstance(feature, Tensor):
                shape = f" of shape {tuple(feature.shape)} beside {len(logits)} rows of logits"
            raise ValueError(
                f"The encoder of {self.name!r} should return a tensor (B, ...) for a linear head; "
                f"found a {type(feature).__name__}{shape}. {remedy}"
            )
        if logits.ndim != 2:
            raise ValueError(
                f"Logits should be of shape (B, C) for linear heads; found {tuple(logits.shape)}. "
                f"{remedy}"
            )
        rows = feature.flatten(1)
        if is_lazy(self.weight):
            self._size(logits.shape[1], rows.shape[1])
        if rows.shape[1] != self.weight.shape[1]:
            raise ValueError(
                f"The feature of {self.name!r} should always have {self.weight.shape[1]} values "
                f"for a linear head, as in the first batch; found {rows.shape[1]}. {remedy}"
            )
        return F.linear(rows.to(self.weight.dtype), self.weight, self.bias)

    def _size(self, num_outputs: int, num_inputs: int) -> None:
        assert isinstance(self.weight, UninitializedParameter)
        assert isinstance(self.bias, UninitializedParameter)
        with torch.inference_mode(False):  # they are to be trained, wherever they are needed first
            self.weight.materialize((num_outputs, num_inputs))
            self.bias.materialize((num_outputs,))
            for parameter in (self.weight, self.bias):
                nn.init.uniform_(parameter, -(num_inputs**-0.5), num_inputs**-0.5)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        if not is_lazy(self.weight):  # there is nothing yet
            super()._save_to_state_dict(destination, prefix, keep_vars)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:
        saved = state_dict.get(f"{prefix}weight")
        if is_lazy(self.weight):
            if saved is None:
                return
            self._size(*saved.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)
