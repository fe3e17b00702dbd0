"""The networks of the paper's experiments, by the name of the data set and the fusion.

Here alone modalities have names: those that the readers of the data sets yield.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from torch import nn

from counterpoise.core.errors import check_choice, suggestion
from counterpoise.models._checks import check_sizes
from counterpoise.models.encoders import FirstStateTransformer, resnet18
from counterpoise.models.fusions import Additive, Concatenation, Fusion, MaxOutLayers
from counterpoise.models.joint_encoding import JointEncoding, TokenEncoder
from counterpoise.models.network import MultimodalNetwork
from counterpoise.models.psp import GuideEncoder, MapEncoder, PositiveSamplePropagation

Shapes = Mapping[str, Sequence[int]]


def paper_network(
    name: str,
    fusion: str | None = None,
    num_classes: int | None = None,
    *,
    shapes: Shapes | None = None,
) -> MultimodalNetwork:
    """Build the network of one of the paper's experiments.

    - *crema-d*, modalities audio and image: two ResNet-18, their features joined behind a linear
      head ("late", 22,352,902 parameters), with a linear head each, summed ("late-sum",
      22,352,908), or joined behind maxout layers ("maxout", 30,755,846);
    - *ur-funny*, text, audio and vision: three transformers, joined behind a linear head ("late",
      132,917,762) or maxout layers ("maxout", 146,563,586);
    - *ave*, audio and vision: positive sample propagation ("psp", 1,667,251);
    - *cmu-mosei*, text and audio: joint encoding by attention ("attention", 41,237,596);
    - *av-mnist*, audio and image: two ResNet-18, joined behind a linear head ("late", 22,350,730)
      or maxout layers ("maxout", 30,753,674).

    ``network.modalities`` names the modalities in order; ``network.encoder_paths`` and, where
    there are any, ``network.head_paths`` tell ``Balanced`` where their encoders and heads lie.
    To wrap two of the networks takes a word more:

    - *ave* returns a :class:`~counterpoise.models.SegmentOutput`: wrap it with
      ``select=SegmentOutput.select`` and add
      :func:`~counterpoise.models.similarity_loss` to the loss. 118,594 of its parameters are
      those that the published code makes and never uses; they are frozen.
    - *cmu-mosei* takes word vectors and frames, zeros where a sequence has ended. That masks
      stay those of the data where a modality is absent, as published, mark the padding
      (:func:`~counterpoise.models.mark_padding`) and wrap each modality as
      ``Modality(encoder=..., absent=absent_tokens(network.modalities)[name])``.

    The weights of *crema-d* are drawn as published: Glorot's normal distribution for linear maps,
    He's uniform one by fan-out for convolutions, biases of zero. *av-mnist*, for which none is
    stated, follows it.

    Args:
        name: Of the data set, a key of :data:`PAPER_NETWORKS`.
        fusion: One of those that :data:`PAPER_NETWORKS` lists for it. Default: the first.
        num_classes: Number of logits. Default: the classes of the data set: 6, 2, 29 (28 events
            and background), 2, 10.
        shapes: Shape of one sample of a modality where it is not the paper's: (channels, height,
            width) of images, (tokens, length) of sequences, (segments, height, width, channels)
            of maps. Default: the paper's.

    Returns:
        The network, initialised from torch's global generator.

    Raises:
        ValueError: If a name is unknown (the nearest is suggested), a shape does not suit, or a
            count is below 1.
        TypeError: If a count is no integer.

    Reference:
        Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient Modulation",
        ICCV 2023, section 4.

    Example:
        >>> import torch
        >>> from counterpoise.models import paper_network
        >>> network = paper_network("crema-d", fusion="late-sum")
        >>> sum(parameter.numel() for parameter in network.parameters())
        22352908
        >>> network.encoder_paths
        {'audio': 'encoders.audio', 'image': 'encoders.image'}
        >>> network.head_paths
        {'audio': 'fusion.head.0', 'image': 'fusion.head.1'}
    """
    check_choice("name", name, _SETTINGS)
    setting = _SETTINGS[name]
    fusion = next(iter(setting.builders)) if fusion is None else fusion
    check_choice("fusion", fusion, setting.builders)
    sizes = _shapes(setting.shapes, shapes or {})
    return setting.builders[fusion](
        sizes, setting.num_classes if num_classes is None else num_classes
    )


def _shapes(published: Shapes, given: Shapes) -> dict[str, tuple[int, ...]]:
    """Put the shapes that are given in place of the published ones."""
    for name, shape in given.items():
        if name not in published:
            raise ValueError(
                f"`shapes` should name modalities among {', '.join(map(repr, published))}; found "
                f"{name!r}. Rename the entry.{suggestion(name, published)}"
            )
        if len(shape) != len(published[name]):
            raise ValueError(
                f"`shapes[{name!r}]` should have {len(published[name])} entries, as the paper's "
                f"{tuple(published[name])}; found {tuple(shape)}. Pass the shape of one sample, "
                f"without the batch."
            )
    return {
        name: check_sizes(f"shapes[{name!r}]", given.get(name, published[name]))
        for name in published
    }


# -- what is built ---------------------------------------------------------------------------------


def _resnets(
    fusion: Callable[[Sequence[int], int], Fusion],
) -> Callable[[Shapes, int], MultimodalNetwork]:
    def build(shapes: Shapes, num_classes: int) -> MultimodalNetwork:
        encoders = {name: resnet18(shape[0]) for name, shape in shapes.items()}
        sizes = [encoder.num_features for encoder in encoders.values()]
        network = MultimodalNetwork(encoders, fusion(sizes, num_classes))
        network.apply(_draw)
        return network

    return build


def _draw(module: nn.Module) -> None:
    """Draw the weights of a convolution or linear map as published for CREMA-D."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        nn.init.kaiming_uniform_(module.weight, mode="fan_out", nonlinearity="relu")


def _transformers(
    fusion: Callable[[Sequence[int], int], Fusion],
) -> Callable[[Shapes, int], MultimodalNetwork]:
    def build(shapes: Shapes, num_classes: int) -> MultimodalNetwork:
        encoders = {name: FirstStateTransformer(shape[-1]) for name, shape in shapes.items()}
        sizes = [encoder.num_features for encoder in encoders.values()]
        return MultimodalNetwork(encoders, fusion(sizes, num_classes))

    return build


def _maxout(sizes: Sequence[int], num_classes: int) -> Concatenation:
    return Concatenation(sizes, num_classes, network=MaxOutLayers(sum(sizes), widths=(2048, 1024)))


def _propagation(shapes: Shapes, num_classes: int) -> MultimodalNetwork:
    _, height, width, channels = shapes["vision"]
    network = MultimodalNetwork(
        {"audio": GuideEncoder(shapes["audio"][-1]), "vision": MapEncoder(channels)},
        PositiveSamplePropagation(num_classes, channels=channels, num_places=height * width),
    )
    # What the published network has and never uses: with it the number of parameters is the one
    # that is published. Frozen, so that distributed training does not wait for its gradient.
    unused = [nn.Linear(512, 128), nn.Linear(256, 64), nn.Linear(64, 2)]
    unused += [nn.Linear(256, 64, bias=False) for _ in range(2)]
    unused += [nn.Linear(64, 28, bias=False) for _ in range(2)]
    network.add_module("unused", nn.ModuleList(unused).requires_grad_(False))
    return network


def _joint_encoding(shapes: Shapes, num_classes: int) -> MultimodalNetwork:
    length = max(shape[0] for shape in shapes.values())
    (text, num_words), (audio, num_frames) = ((name, shape[-1]) for name, shape in shapes.items())
    return MultimodalNetwork(
        {
            text: TokenEncoder(num_words, length=length, recurrent=True),
            audio: TokenEncoder(num_frames, length=length),
        },
        JointEncoding(num_classes, length=length),
    )


@dataclass(frozen=True)
class _Setting:
    """One of the paper's data sets: its classes, the shapes of its samples, its networks."""

    num_classes: int
    shapes: Shapes
    builders: Mapping[str, Callable[[Shapes, int], MultimodalNetwork]]


_SETTINGS: Final = {
    "crema-d": _Setting(
        6,
        {"audio": (1, 257, 188), "image": (3, 224, 224)},
        {
            "late": _resnets(Concatenation),
            "late-sum": _resnets(Additive),
            "maxout": _resnets(_maxout),
        },
    ),
    "ur-funny": _Setting(
        2,
        {"text": (50, 300), "audio": (50, 81), "vision": (50, 371)},  # of any number of tokens
        {"late": _transformers(Concatenation), "maxout": _transformers(_maxout)},
    ),
    "ave": _Setting(29, {"audio": (10, 128), "vision": (10, 7, 7, 512)}, {"psp": _propagation}),
    "cmu-mosei": _Setting(
        2, {"text": (60, 300), "audio": (60, 80)}, {"attention": _joint_encoding}
    ),
    "av-mnist": _Setting(
        10,
        {"audio": (1, 112, 112), "image": (1, 28, 28)},
        {"late": _resnets(Concatenation), "maxout": _resnets(_maxout)},
    ),
}

PAPER_NETWORKS: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(setting.builders) for name, setting in _SETTINGS.items()
}
"""The paper's data sets by name, and for each the fusions for which there is a network."""
