"""A transformer without positions and masks that is read at the first position."""

from __future__ import annotations

from torch import Tensor, nn

from counterpoise.core.errors import check_count, check_range
from counterpoise.models._checks import check_heads


class FirstStateTransformer(nn.Module):
    """Map sequences of feature vectors to the last state of their first token.

    Tokens are mapped linearly, without bias, and pass through layers of self-attention and a
    ReLU network, each followed by its residual sum and layer normalisation. No positions are
    added and nothing is masked, so that the feature depends on the first token and on the set of
    the others, padding among them. For sequences with masks or order take
    :class:`~counterpoise.models.Transformer`.

    Args:
        num_inputs: Length of a token.
        width: Length of the tokens inside, a multiple of ``num_heads``. Default: 768.
        num_layers: Number of layers. Default: 8.
        num_heads: Heads of attention. Default: 4.
        hidden: Units of each layer's ReLU network. Default: 2048.
        dropout: Share of attention weights and activations dropped in training, in [0, 1).
            Default: 0.1.

    The defaults are those of Li et al. for UR-Funny.

    Attributes:
        num_features: Length of the feature vector: ``width``.

    Raises:
        ValueError: If an argument is out of range; in the forward pass, if the tokens have
            another length or there is none.
        TypeError: If a count is no integer.

    Reference:
        Vaswani et al., "Attention is all you need", NeurIPS 2017; Li et al., "Boosting
        Multi-modal Model Performance with Adaptive Gradient Modulation", ICCV 2023, the encoders
        of UR-Funny.

    Differs from the official code: there all layers begin as copies of one another, here each
    draws weights of its own.

    Example:
        >>> import torch
        >>> from counterpoise.models import FirstStateTransformer
        >>> encoder = FirstStateTransformer(5, width=12, num_layers=2, hidden=17)
        >>> encoder(torch.randn(2, 7, 5)).shape
        torch.Size([2, 12])
    """

    def __init__(
        self,
        num_inputs: int,
        *,
        width: int = 768,
        num_layers: int = 8,
        num_heads: int = 4,
        hidden: int = 2048,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        check_heads(width, num_heads)
        counts = {"num_inputs": num_inputs, "num_layers": num_layers, "hidden": hidden}
        for name, count in counts.items():
            check_count(name, count, at_least=1)
        check_range("dropout", dropout, low=0.0, high=1.0, open_high=True)
        self.num_inputs = num_inputs
        self.num_features = width
        self.embed = nn.Linear(num_inputs, width, bias=False)
        self.layers = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(width, num_heads, hidden, dropout, batch_first=True)
                for _ in range(num_layers)
            )
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Map tokens (B, T, num_inputs) to features (B, num_features)."""
        if inputs.ndim != 3 or inputs.shape[2] != self.num_inputs or not inputs.shape[1]:
            raise ValueError(
                f"`inputs` should have shape (batch, tokens, {self.num_inputs}) of one token or "
                f"more; found {tuple(inputs.shape)}. Build the encoder with num_inputs equal to "
                f"the length of a token."
            )
        states: Tensor = self.layers(self.embed(inputs))
        return states[:, 0]
