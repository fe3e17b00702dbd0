"""One encoder per modality, one fusion: a network whose parts have predictable paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from counterpoise.core.errors import check_kind, check_mapping, described, suggestion
from counterpoise.models.fusions.late import Heads


class MultimodalNetwork(nn.Module):
    """Map one input per modality, by name, to logits: encode each, fuse the features in order.

    Sub-modules lie at ``encoders.<name>`` and ``fusion``; :attr:`encoder_paths` is what
    ``Balanced(network, network.encoder_paths)`` takes.

    Args:
        encoders: One encoder per modality, two or more. Their order is the order in which the
            fusion receives the features. Names may not contain a dot, and not be an attribute
            of ``torch.nn.ModuleDict`` such as ``"keys"``.
        fusion: Maps the list of features to logits, or to whatever the network shall return.

    Attributes:
        encoders: As given, an ``nn.ModuleDict``.
        fusion: As given.

    Raises:
        ValueError: If there are fewer than two encoders, a name cannot be used, or the encoders'
            ``num_features`` are not the fusion's ``sizes``; in the forward pass, if a modality is
            unknown or missing.
        TypeError: If an encoder is no module.

    Example:
        >>> import torch
        >>> from counterpoise.models import MLP, Concatenation, MultimodalNetwork
        >>> network = MultimodalNetwork(
        ...     {"left": MLP(5, widths=(7,)), "right": MLP(11, widths=(13,))},
        ...     Concatenation((7, 13), num_classes=3),
        ... )
        >>> network(left=torch.randn(2, 5), right=torch.randn(2, 11)).shape
        torch.Size([2, 3])
        >>> network.encoder_paths
        {'left': 'encoders.left', 'right': 'encoders.right'}
    """

    def __init__(self, encoders: Mapping[str, nn.Module], fusion: nn.Module) -> None:
        super().__init__()
        _check(encoders, fusion)
        self.encoders = nn.ModuleDict(encoders)
        self.fusion = fusion

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(self.encoders)

    @property
    def encoder_paths(self) -> dict[str, str]:
        """Path of each modality's encoder, as ``Balanced(network, paths)`` takes it."""
        return {name: f"encoders.{name}" for name in self.encoders}

    @property
    def head_paths(self) -> dict[str, str]:
        """Path of each modality's own head in an additive fusion; empty for other fusions.

        The output of the module at that path is the modality's logits.
        """
        if not isinstance(self.fusion.head, Heads):
            return {}
        return {name: f"fusion.head.{index}" for index, name in enumerate(self.encoders)}

    def forward(self, **inputs: Any) -> Any:
        """Map one input per modality, passed by name, to what the fusion returns: logits (B, C)."""
        for name in inputs:
            if name not in self.encoders:
                raise ValueError(
                    f"`inputs` should be named {_quoted(self.encoders)}; found {name!r}. "
                    f"Rename or leave out the input.{suggestion(name, self.encoders)}"
                )
        missing = [name for name in self.encoders if name not in inputs]
        if missing:
            raise ValueError(
                f"`inputs` should have an entry for each of {_quoted(self.encoders)}; found none "
                f"for {_quoted(missing)}. Pass {missing[0]}=..., zeros if it is absent."
            )
        features = [encoder(inputs[name]) for name, encoder in self.encoders.items()]
        return self.fusion(features)


def _check(encoders: Mapping[str, nn.Module], fusion: nn.Module) -> None:
    check_mapping("encoders", encoders, None, "names of modalities to encoders")
    check_kind("fusion", fusion, nn.Module, "a torch.nn.Module")
    if len(encoders) < 2:
        raise ValueError(
            f"`encoders` should name at least two modalities; found {list(encoders)}. "
            f"Pass one encoder for each modality."
        )
    for name, encoder in encoders.items():
        if not isinstance(encoder, nn.Module):
            raise TypeError(
                f"`encoders[{name!r}]` should be a torch.nn.Module; found "
                f"{described(encoder)}. Pass the encoder itself, not its class or path."
            )
        if not name or "." in name or hasattr(nn.ModuleDict(), name):
            raise ValueError(
                f"`encoders` should have names without dots that are no attributes of "
                f"torch.nn.ModuleDict; found {name!r}. Rename the modality."
            )
    sizes = getattr(fusion, "sizes", None)
    widths = tuple(getattr(encoder, "num_features", None) for encoder in encoders.values())
    if sizes is not None and None not in widths and tuple(sizes) != widths:
        raise ValueError(
            f"`fusion` should be built for features of sizes {', '.join(map(str, widths))}, those "
            f"of the encoders; found {', '.join(map(str, sizes))}. Pass sizes={widths} to it."
        )


def _quoted(names: Any) -> str:
    return ", ".join(repr(name) for name in names)
