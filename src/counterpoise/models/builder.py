"""Networks by name, from the shapes of samples: what the command line builds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

from counterpoise.core.errors import check_choice, check_count, suggestion
from counterpoise.models._checks import check_sizes
from counterpoise.models.encoders import MLP, LeNet, ResNet, Transformer, resnet8, resnet18
from counterpoise.models.fusions import (
    Additive,
    Concatenation,
    Cosine,
    CrossAttention,
    FiLM,
    Fusion,
    Gated,
    MaxOut,
)
from counterpoise.models.network import MultimodalNetwork

ENCODERS = ("auto", "mlp", "lenet", "resnet8", "resnet18", "transformer")
"""Names of encoders that :func:`build` knows. ``"auto"`` chooses by the number of dimensions."""

FUSIONS = ("additive", "cosine", "concatenation", "maxout", "film", "gated", "cross_attention")
"""Names of fusions that :func:`build` knows."""

_FORMS = {
    "mlp": "any shape",
    "lenet": "(channels, height, width) with sides of 8 or more",
    "resnet8": "(channels, height, width)",
    "resnet18": "(channels, height, width)",
    "transformer": "(tokens, length of a token)",
}
_NUM_DIMENSIONS = {"lenet": 3, "resnet8": 3, "resnet18": 3, "transformer": 2}
_WIDE: dict[str, Callable[[list[int], int, int], Fusion]] = {
    "maxout": MaxOut,
    "gated": Gated,
    "cross_attention": CrossAttention,
}
_PLAIN: dict[str, Callable[[list[int], int], Fusion]] = {
    "additive": Additive,
    "cosine": Cosine,
    "concatenation": Concatenation,
    "film": FiLM,
}
_AUTO = {1: "mlp", 2: "transformer", 3: "lenet"}


def build(
    shapes: Mapping[str, Sequence[int]],
    num_classes: int,
    *,
    encoder: str | Mapping[str, str] = "auto",
    fusion: str = "concatenation",
    num_features: int = 64,
) -> MultimodalNetwork:
    """Build a network for modalities whose samples have the given shapes.

    MaxOut takes feature maps, on a grid of 4 x 4, if every encoder can give them (LeNet and
    ResNets), else feature vectors. Cross-attention takes maps and sequences where there are any.

    Args:
        shapes: Shape of one sample of each modality, without the batch, two or more. Their order
            is the order of the modalities; FiLM conditions the first and cross-attention queries
            by the first.
        num_classes: Number of outputs.
        encoder: A name in :data:`ENCODERS` for all modalities, or a name for each. Default:
            ``"auto"``: MLP for (values,), transformer for (tokens, length), LeNet for (channels,
            height, width).
        fusion: A name in :data:`FUSIONS`. Default: ``"concatenation"``.
        num_features: Size of the features of MLP, LeNet and transformer, and of the fused one of
            MaxOut, Gated and cross-attention. The ResNets have their own: 64 and 512. Default:
            64; raise it for harder data.

    Returns:
        The network, initialised from torch's global generator.

    Raises:
        ValueError: If there are fewer than two modalities, a name is unknown, a shape does not
            suit its encoder, or a count is below 1.

    Example:
        >>> from counterpoise.models import build
        >>> network = build({"picture": (1, 28, 28), "reading": (5,)}, num_classes=3)
        >>> {name: type(encoder).__name__ for name, encoder in network.encoders.items()}
        {'picture': 'LeNet', 'reading': 'MLP'}
    """
    if not isinstance(shapes, Mapping) or not all(isinstance(name, str) for name in shapes):
        raise TypeError(
            f"`shapes` should be a mapping of modalities to shapes; found {shapes!r}. Pass a dict."
        )
    if len(shapes) < 2:
        raise ValueError(
            f"`shapes` should name at least two modalities; found {list(shapes)}. "
            f"Pass the shape of one sample of each."
        )
    check_choice("fusion", fusion, FUSIONS)
    check_count("num_features", num_features, at_least=1)
    checked = {name: check_sizes(f"shapes[{name!r}]", shape) for name, shape in shapes.items()}
    chosen = _choose(checked, encoder)
    outputs = _outputs(fusion, chosen)
    encoders = {
        name: _encoder(kind, checked[name], num_features, outputs[name])
        for name, kind in chosen.items()
    }
    sizes = [encoder.num_features for encoder in encoders.values()]
    maps = set(outputs.values()) == {"map"}
    return MultimodalNetwork(encoders, _fusion(fusion, sizes, num_classes, num_features, maps=maps))


def _choose(
    shapes: Mapping[str, tuple[int, ...]], encoder: str | Mapping[str, str]
) -> dict[str, str]:
    """Name the encoder of each modality."""
    if not isinstance(encoder, (str, Mapping)):
        raise TypeError(
            f"`encoder` should be a name, or one for each modality; found {encoder!r}. Pass 'auto'."
        )
    asked = dict.fromkeys(shapes, encoder) if isinstance(encoder, str) else dict(encoder)
    for name in asked:
        if name not in shapes:
            raise ValueError(
                f"`encoder` should name encoders of {', '.join(map(repr, shapes))}; found "
                f"{name!r}. Rename the entry.{suggestion(name, shapes)}"
            )
    chosen = {}
    for name, shape in shapes.items():
        kind = asked.get(name, "auto")
        check_choice("encoder", kind, ENCODERS)
        kind = _AUTO.get(len(shape), "mlp") if kind == "auto" else kind
        too_small = kind == "lenet" and min(shape[1:], default=0) < 8
        if too_small or len(shape) != _NUM_DIMENSIONS.get(kind, len(shape)):
            raise ValueError(
                f"`shapes[{name!r}]` should be {_FORMS[kind]} for the encoder {kind!r}; found "
                f"{shape}. Reshape the samples, or choose another encoder."
            )
        chosen[name] = kind
    return chosen


def _richest(kind: str) -> str:
    """What an encoder can return beyond a vector."""
    return {2: "sequence", 3: "map"}.get(_NUM_DIMENSIONS.get(kind, 0), "vector")


def _outputs(fusion: str, kinds: Mapping[str, str]) -> dict[str, str]:
    """What each modality's encoder returns to suit the fusion."""
    richest = {name: _richest(kind) for name, kind in kinds.items()}
    early = fusion == "maxout" and set(richest.values()) == {"map"}
    return richest if early or fusion == "cross_attention" else dict.fromkeys(kinds, "vector")


def _encoder(
    kind: str, shape: tuple[int, ...], num_features: int, output: Any
) -> MLP | LeNet | ResNet | Transformer:
    if kind == "mlp":
        return MLP(prod(shape), (2 * num_features, num_features))
    if kind == "transformer":
        return Transformer(shape[-1], width=num_features, output=output)
    if kind == "lenet":
        widths = (max(1, num_features // 4), max(1, num_features // 2))
        return LeNet(shape[0], widths, num_features, output=output)
    return {"resnet8": resnet8, "resnet18": resnet18}[kind](shape[0], output=output)


def _fusion(
    kind: str, sizes: list[int], num_classes: int, num_features: int, *, maps: bool
) -> Fusion:
    if kind == "maxout" and maps:
        return MaxOut(sizes, num_classes, num_features, features="map", grid=4)
    if kind in _WIDE:
        return _WIDE[kind](sizes, num_classes, num_features)
    return _PLAIN[kind](sizes, num_classes)
