"""How a run builds its network, once it knows the data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from counterpoise.core.errors import check_choice, check_count
from counterpoise.models import ENCODERS, FUSIONS, MultimodalNetwork, build

if TYPE_CHECKING:
    from counterpoise.data import Splits


class Architecture(ABC):
    """Builds a network for a data set. Subclass it, as a frozen dataclass, to train your own.

    Example:
        >>> from counterpoise.training import Architecture
        >>> class Sum(nn.Module):
        ...     def __init__(self, sizes, num_classes):
        ...         super().__init__()
        ...         self.heads = nn.ModuleDict(
        ...             {name: nn.Linear(size, num_classes) for name, (size,) in sizes.items()}
        ...         )
        ...     def forward(self, **inputs):
        ...         return sum(self.heads[name](x) for name, x in inputs.items())
        >>> class Linear(Architecture):
        ...     def build(self, splits):
        ...         return Sum(splits.sample_shapes, splits.num_classes)
        ...     def encoder_paths(self, model):
        ...         return {name: f"heads.{name}" for name in model.heads}
    """

    @abstractmethod
    def build(self, splits: Splits) -> nn.Module:
        """Return a fresh network, drawn from torch's global generator.

        It takes each modality of ``splits`` by keyword and returns as many logits for each
        sample as the task asks for, ``splits.num_outputs``.
        """

    def encoder_paths(self, model: nn.Module) -> dict[str, str] | None:
        """Return the path of each modality's encoder in the network; None if it has none."""
        return None

    def head_paths(self, model: nn.Module) -> dict[str, str] | None:
        """Return the path of each modality's head where heads add up to logits, else None."""
        return None

    def select(self, model: nn.Module) -> Callable[[Any], Tensor] | None:
        """Return what maps the network's output to its logits, where the output is no tensor.

        Default: the network's own ``select``, if it has one.
        """
        return getattr(model, "select", None)

    def extra_loss(self, model: nn.Module) -> Callable[[Any, Any], Tensor] | None:
        """Return a loss of the network's output and the target that is added, unmodulated.

        Default: the network's own ``extra_loss``, if it has one.
        """
        return getattr(model, "extra_loss", None)

    def absent_values(self, splits: Splits) -> Any:
        """Return what stands in for absent modalities, where the network needs its own."""
        return None


@dataclass(frozen=True)
class Network(Architecture):
    """One encoder for each modality and a fusion: what :func:`counterpoise.models.build` makes.

    Args:
        encoder: Name of the encoder of all modalities, or of each: "auto", "mlp", "lenet",
            "resnet8", "resnet18" or "transformer". "auto" goes by the shape of the samples.
        fusion: "additive", "cosine", "concatenation", "maxout", "film", "gated" or
            "cross_attention".
        num_features: Size of the features, at least 1.

    Raises:
        ValueError: If a name is not known (the nearest is suggested), or the size is below 1.
        TypeError: If ``encoder`` is neither a name nor a mapping of modalities to names, or the
            size is no integer.

    Example:
        >>> Network(fusion="maxot")
        Traceback (most recent call last):
        ValueError: `fusion` should be one of ...; found 'maxot'. Did you mean 'maxout'?
    """

    encoder: str | dict[str, str] = "auto"
    fusion: str = "concatenation"
    num_features: int = 64

    def __post_init__(self) -> None:
        if not isinstance(self.encoder, (str, Mapping)):
            raise TypeError(
                "`encoder` should be a name or a mapping of modalities to names; found "
                f"{self.encoder!r}. Pass 'auto' to go by the shape of the samples."
            )
        if isinstance(self.encoder, str):
            check_choice("encoder", self.encoder, ENCODERS)
        else:
            for modality, name in self.encoder.items():
                check_choice(f"encoder[{modality!r}]", name, ENCODERS)
        check_choice("fusion", self.fusion, FUSIONS)
        check_count("num_features", self.num_features, at_least=1)

    def build(self, splits: Splits) -> nn.Module:
        """Return the network.

        Raises:
            ValueError: If a modality does not come as floating-point numbers, as token ids, or
                comes as a pytree that the encoders do not know; or there is more than one label a
                sample.
        """
        return build(
            _shapes(splits),
            splits.num_outputs,
            encoder=self.encoder,
            fusion=self.fusion,
            num_features=self.num_features,
        )

    def encoder_paths(self, model: nn.Module) -> dict[str, str] | None:
        """Return the paths that the network itself knows."""
        assert isinstance(model, MultimodalNetwork)
        return model.encoder_paths

    def head_paths(self, model: nn.Module) -> dict[str, str] | None:
        """Return the paths that the network itself knows, if its fusion is additive."""
        assert isinstance(model, MultimodalNetwork)
        return model.head_paths or None


def _shapes(splits: Splits) -> dict[str, tuple[int, ...]]:
    """Return the shape of each modality's samples; of tokens with a mask, that of the tokens."""
    if splits.task.kind == "segments":
        raise ValueError(
            "`model` should put out logits for each segment for this task; found `Network`, which "
            "has one answer a sample. Name a network of your own by its class path."
        )
    shapes, first = {}, splits.example()
    for name in splits.modalities:
        value, shape = first[name], splits.sample_shapes[name]
        if isinstance(value, Mapping) and set(value) == {"tokens", "mask"}:
            value, shape = value["tokens"], shape["tokens"]
        if not isinstance(value, Tensor):
            raise ValueError(
                f"`data` should yield a tensor for {name!r}, or 'tokens' and 'mask', for the "
                f"encoders of `Network`; found a {type(value).__name__}. Name a network of your "
                "own by its class path."
            )
        if not value.is_floating_point():
            raise ValueError(
                f"`data` should yield floating-point numbers for {name!r}, for the encoders of "
                f"`Network`; found {value.dtype}. Convert them by a transform of the data set, or "
                "embed token ids in a network of your own, named by its class path."
            )
        shapes[name] = shape
    return shapes
