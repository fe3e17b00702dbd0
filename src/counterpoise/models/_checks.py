"""What the encoders and fusions check of their arguments and inputs, written once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from counterpoise.core.errors import check_count

Output = Literal["vector", "map"]


def check_sizes(name: str, sizes: Sequence[int], *, at_least: int = 1) -> tuple[int, ...]:
    """Return ``sizes`` as a tuple, or raise unless it holds ``at_least`` positive integers."""
    _check_sequence(name, sizes)
    if len(sizes) < at_least:
        raise ValueError(
            f"`{name}` should have at least {at_least} entries; found {list(sizes)}. "
            f"Pass {at_least} sizes or more."
        )
    for index, size in enumerate(sizes):
        check_count(f"{name}[{index}]", size, at_least=1)
    return tuple(sizes)


def _check_sequence(name: str, sizes: object) -> None:
    if isinstance(sizes, str) or not isinstance(sizes, Sequence):
        raise TypeError(
            f"`{name}` should be a sequence of integers; found {sizes!r}. Pass a tuple of them."
        )


def check_modality_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return the feature sizes of the modalities, or raise unless there are two or more."""
    _check_sequence("sizes", sizes)
    if len(sizes) < 2:
        raise ValueError(
            f"`sizes` should name the feature sizes of at least two modalities; found "
            f"{list(sizes)}. A fusion needs something to fuse: pass one size per modality."
        )
    return check_sizes("sizes", sizes)


def check_network(network: nn.Module) -> int:
    """Return the length of the feature vectors of a shared network, or raise if it has none."""
    num_features = getattr(network, "num_features", None)
    if not isinstance(num_features, int):
        raise ValueError(
            f"`network` should have an attribute num_features, the length of its output; "
            f"found none on {type(network).__name__}. Set it to the size of the last layer."
        )
    return num_features


def check_index(name: str, index: int, num_modalities: int) -> None:
    """Raise unless ``index`` is the place of a modality, counted from 0."""
    check_count(name, index, at_least=0)
    if index >= num_modalities:
        raise ValueError(
            f"`{name}` should be the index of a modality, 0 to {num_modalities - 1}; found "
            f"{index}. Count the modalities from 0 in the order of `sizes`."
        )


def check_heads(width: int, num_heads: int) -> None:
    """Raise unless tokens of ``width`` divide into ``num_heads`` equal parts."""
    check_count("width", width, at_least=1)
    check_count("num_heads", num_heads, at_least=1)
    if width % num_heads:
        raise ValueError(
            f"`width` should be a multiple of num_heads = {num_heads}; found {width}. "
            f"Choose {num_heads * (width // num_heads + 1)}, or another number of heads."
        )


def check_images(inputs: Tensor, *, channels: int, smallest: int) -> None:
    """Raise unless ``inputs`` is (B, channels, height, width), ``smallest`` or more a side."""
    if inputs.ndim != 4 or inputs.shape[1] != channels:
        raise ValueError(
            f"`inputs` should have shape (batch, {channels}, height, width); found "
            f"{tuple(inputs.shape)}. Add the channel axis, or build the encoder with "
            f"in_channels equal to the number of channels."
        )
    if min(inputs.shape[2:]) < smallest:
        raise ValueError(
            f"`inputs` should be at least {smallest} x {smallest}; found "
            f"{inputs.shape[2]} x {inputs.shape[3]}. Enlarge or pad the images, or use an MLP."
        )


def check_number(features: Sequence[object], sizes: tuple[int, ...]) -> None:
    """Raise unless there is one feature for each modality."""
    if len(features) != len(sizes):
        raise ValueError(
            f"`features` should hold one feature for each of the {len(sizes)} modalities; found "
            f"{len(features)}. Pass them as a list in the order of `sizes`."
        )


def check_vectors(features: Sequence[Tensor], sizes: tuple[int, ...]) -> None:
    """Raise unless the features have shapes (..., size) that agree but for the size."""
    check_number(features, sizes)
    shapes = [tuple(feature.shape) for feature in features]
    expected = [(*shapes[0][:-1], size) for size in sizes]
    if len(shapes[0]) < 2 or shapes != expected:
        raise ValueError(
            f"`features` should be vectors of sizes {_listed(sizes)} over the same batch; found "
            f"shapes {_listed(shapes)}. Build the fusion with the encoders' num_features."
        )


def check_maps(features: Sequence[Tensor], sizes: tuple[int, ...]) -> None:
    """Raise unless the features are maps (B, size, height, width) over the same batch."""
    check_number(features, sizes)
    shapes = [tuple(feature.shape) for feature in features]
    right = all(
        len(shape) == 4 and shape[:2] == (shapes[0][0], size)
        for shape, size in zip(shapes, sizes, strict=True)
    )
    if not right:
        raise ValueError(
            f"`features` should be maps (batch, channels, height, width) with {_listed(sizes)} "
            f"channels over the same batch; found shapes {_listed(shapes)}. "
            f"Build the encoders with output='map'."
        )


def _listed(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)
