"""What each of the two modalities goes through on its own, before they meet."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from counterpoise.core.errors import check_count


class GuideEncoder(nn.Module):
    """Map sequences of vectors to what guides attention, and to the states of an LSTM over it.

    Args:
        num_inputs: Length of a segment's vector. Default: 128.
        hidden: Outputs of the first of two linear maps, between which there is nothing else.
            Default: 256.
        width: Outputs of the second, and units of the LSTM in each direction. Default: 128.

    Attributes:
        num_features: Length of the states, ``2 * width``.

    Raises:
        ValueError: If a count is below 1; in the forward pass, if vectors have another length.
        TypeError: If a count is no integer.

    Reference:
        Zhou et al., "Positive sample propagation along the audio-visual event line", CVPR 2021.

    Example:
        >>> import torch
        >>> from counterpoise.models import GuideEncoder
        >>> features = GuideEncoder(5, hidden=7, width=11)(torch.randn(2, 3, 5))
        >>> {name: tuple(feature.shape) for name, feature in features.items()}
        {'guide': (2, 3, 11), 'states': (2, 3, 22)}
    """

    def __init__(self, num_inputs: int = 128, *, hidden: int = 256, width: int = 128) -> None:
        super().__init__()
        for name, count in {"num_inputs": num_inputs, "hidden": hidden, "width": width}.items():
            check_count(name, count, at_least=1)
        self.num_inputs = num_inputs
        self.num_features = 2 * width
        self.project = nn.Sequential(
            nn.Linear(num_inputs, hidden, bias=False), nn.Linear(hidden, width, bias=False)
        )
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Map vectors (B, T, num_inputs) to "guide" (B, T, width), "states" (B, T, 2 width)."""
        if inputs.ndim != 3 or inputs.shape[2] != self.num_inputs:
            raise ValueError(
                f"`inputs` should have shape (batch, segments, {self.num_inputs}); found "
                f"{tuple(inputs.shape)}. Build the encoder with num_inputs equal to the length "
                f"of a segment's vector."
            )
        guide = self.project(inputs)
        return {"guide": guide, "states": self.lstm(guide)[0]}


class MapEncoder(nn.Module):
    """Map sequences of feature maps to their places, and to the keys by which these are attended.

    Args:
        num_inputs: Channels of the maps. Default: 512.
        width: Length of the keys. Default: 512.

    Attributes:
        num_features: Length of the places: ``num_inputs``.

    Raises:
        ValueError: If a count is below 1; in the forward pass, if maps have other channels.
        TypeError: If a count is no integer.

    Reference:
        Tian et al., "Audio-visual event localization in unconstrained videos", ECCV 2018,
        section 4.2, what of the attention sees one modality alone.

    Example:
        >>> import torch
        >>> from counterpoise.models import MapEncoder
        >>> features = MapEncoder(5, width=7)(torch.randn(2, 3, 4, 6, 5))
        >>> {name: tuple(feature.shape) for name, feature in features.items()}
        {'maps': (2, 3, 24, 5), 'keys': (2, 3, 24, 7)}
    """

    def __init__(self, num_inputs: int = 512, *, width: int = 512) -> None:
        super().__init__()
        check_count("num_inputs", num_inputs, at_least=1)
        check_count("width", width, at_least=1)
        self.num_features = num_inputs
        self.key = nn.Linear(num_inputs, width)
        nn.init.xavier_uniform_(self.key.weight)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Map (B, T, height, width, num_inputs) to "maps" and "keys", both (B, T, places, D)."""
        if inputs.ndim != 5 or inputs.shape[4] != self.num_features:
            raise ValueError(
                f"`inputs` should have shape (batch, segments, height, width, "
                f"{self.num_features}); found {tuple(inputs.shape)}. Move the channels to the "
                f"end, or build the encoder with num_inputs equal to their number."
            )
        maps = inputs.flatten(2, 3)
        return {"maps": maps, "keys": F.relu(self.key(maps))}
