"""The networks of the paper's experiments, as a recipe names them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from counterpoise.core.errors import check_choice, check_range
from counterpoise.models import (
    PAPER_NETWORKS,
    MultimodalNetwork,
    SegmentOutput,
    absent_tokens,
    paper_network,
    similarity_loss,
)
from counterpoise.training.architectures import Architecture

if TYPE_CHECKING:
    from counterpoise.data import Splits


@dataclass(frozen=True)
class PaperNetwork(Architecture):
    """Builds a network of :func:`counterpoise.models.paper_network`, wrapped as it has to be.

    The number of outputs and the shapes of samples are those of the data. For "ave" the loss on
    the similarity of both streams is added, unmodulated; for "cmu-mosei" sequences that come with
    their masks keep them where a modality is absent, as published.

    Args:
        name: Of the paper's data set: "crema-d", "ur-funny", "ave", "cmu-mosei" or "av-mnist".
        fusion: One of those that there are for it. Default: the first.
        similarity: For "ave": the weight of the loss on the similarity, at least 0. Default:
            100, as published.

    Raises:
        ValueError: If a name is not known, or the weight is negative.

    Example:
        >>> PaperNetwork("crema-d", fusion="maxot")
        Traceback (most recent call last):
        ValueError: `fusion` should be one of ...; found 'maxot'. Did you mean 'maxout'?
    """

    name: str
    fusion: str | None = None
    similarity: float = 100.0

    def __post_init__(self) -> None:
        check_choice("name", self.name, PAPER_NETWORKS)
        if self.fusion is not None:
            check_choice("fusion", self.fusion, PAPER_NETWORKS[self.name])
        check_range("similarity", self.similarity, low=0.0)

    def build(self, splits: Splits) -> nn.Module:
        """Return the network."""
        shapes = {
            name: shape["tokens"] if isinstance(shape, dict) else shape
            for name, shape in splits.sample_shapes.items()
        }
        return paper_network(self.name, self.fusion, splits.num_outputs, shapes=shapes)

    def encoder_paths(self, model: nn.Module) -> dict[str, str]:
        """Return the paths that the network itself knows."""
        assert isinstance(model, MultimodalNetwork)
        return model.encoder_paths

    def head_paths(self, model: nn.Module) -> dict[str, str] | None:
        """Return the paths that the network itself knows, if its fusion is additive."""
        assert isinstance(model, MultimodalNetwork)
        return model.head_paths or None

    def select(self, model: nn.Module) -> Callable[[Any], Tensor] | None:
        """For "ave": return what takes the logits out of the network's output."""
        return SegmentOutput.select if self.name == "ave" else None

    def extra_loss(self, model: nn.Module) -> Callable[[Any, Any], Tensor] | None:
        """For "ave": return the loss on the similarity of both streams."""
        weighted = partial(similarity_loss, weight=self.similarity)
        return weighted if self.name == "ave" else None

    def absent_values(self, splits: Splits) -> Any:
        """For "cmu-mosei": return zeros that keep the masks, where there are any."""
        marked = all(isinstance(shape, dict) for shape in splits.sample_shapes.values())
        return absent_tokens(splits.modalities) if self.name == "cmu-mosei" and marked else None
