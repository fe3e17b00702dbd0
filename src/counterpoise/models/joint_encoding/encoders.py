"""What each sequence goes through on its own, before the blocks."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from counterpoise.core.errors import check_count, check_flag
from counterpoise.models.attention import read_sequence
from counterpoise.models.joint_encoding.padding import real_tokens


class TokenEncoder(nn.Module):
    """Map sequences of vectors to as many tokens each, by an LSTM or one linear map, and a mask.

    Args:
        num_inputs: Length of a vector.
        width: Length of the tokens. Default: 512.
        length: Number of tokens; shorter sequences are padded at their end. Default: 60.
        recurrent: Whether an LSTM runs over the sequence; else each vector is mapped linearly.
            Default: False.

    Attributes:
        num_features: Length of the tokens: ``width``.

    Raises:
        ValueError: If a count is below 1; in the forward pass, if vectors have another length,
            sequences are longer than ``length`` or the mask has another shape.
        TypeError: If a count is no integer; in the forward pass, if the input is neither a tensor
            nor a mapping.

    Reference:
        Delbrouck et al., "A Transformer-based joint-encoding for emotion recognition and
        sentiment analysis", ACL workshop Challenge-HML 2020.

    Example:
        >>> import torch
        >>> from counterpoise.models import TokenEncoder
        >>> features = TokenEncoder(5, width=7, length=3)(torch.ones(2, 2, 5))
        >>> features["tokens"].shape, features["mask"][0]
        (torch.Size([2, 3, 7]), tensor([ True,  True, False]))
    """

    def __init__(
        self, num_inputs: int, *, width: int = 512, length: int = 60, recurrent: bool = False
    ) -> None:
        super().__init__()
        for name, count in {"num_inputs": num_inputs, "width": width, "length": length}.items():
            check_count(name, count, at_least=1)
        check_flag("recurrent", recurrent)
        self.num_inputs = num_inputs
        self.num_features = width
        self.length = length
        self.recurrent = recurrent
        self.layer = (
            nn.LSTM(num_inputs, width, batch_first=True)
            if recurrent
            else nn.Linear(num_inputs, width)
        )

    def forward(self, inputs: Tensor | Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Map (B, T, num_inputs), T up to ``length``, to "tokens" and "mask" of ``length``.

        Without a mask, vectors of zeros are padding; where there is no other vector, none is.
        """
        values, mask = read_sequence(inputs)
        if values.ndim != 3 or values.shape[2] != self.num_inputs or values.shape[1] > self.length:
            raise ValueError(
                f"`inputs` should have shape (batch, up to {self.length} tokens, "
                f"{self.num_inputs}); found {tuple(values.shape)}. Cut longer sequences, and "
                f"build the encoder with num_inputs equal to the length of a vector."
            )
        mask = real_tokens(values) if mask is None else mask
        missing = self.length - values.shape[1]
        values, mask = F.pad(values, (0, 0, 0, missing)), F.pad(mask, (0, missing), value=False)
        mapped = self.layer(values)
        return {"tokens": mapped[0] if self.recurrent else mapped, "mask": mask}
