"""Features out of any module, by path, in one pass over a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from counterpoise.core.errors import (
    check_count,
    check_function,
    check_kind,
    check_mapping,
    described,
)
from counterpoise.core.pytree import map_tensors, tensors
from counterpoise.data.contract import Batched
from counterpoise.engine.modes import EvaluationMode
from counterpoise.measures.taps import Tap

if TYPE_CHECKING:
    from counterpoise.data import Samples, Segments

Batch = Mapping[str, Any]
Call = Callable[[nn.Module, Batch], object]
"""Runs a module on a batch; what it returns is not looked at."""


class Extracted(NamedTuple):
    """What came out of a module for N samples, in the order of the batches.

    Attributes:
        features: By name, shape (N, D), on the CPU.
        target: The batches' targets, shape (N, ...), on the CPU; None where they have none.
    """

    features: dict[str, Tensor]
    target: Tensor | None


@torch.no_grad()
def extract_features(
    model: nn.Module,
    batches: Iterable[Batch],
    paths: Mapping[str, str],
    *,
    call: Call | None = None,
    segments: Segments | None = None,
) -> Extracted:
    """Return the outputs, or inputs, of some modules of a model on a data set, flattened.

    The model runs once a batch, in eval mode without gradient; its flags are restored.

    Args:
        model: Any module, such as a network, a ``Balanced`` or a LightningModule.
        batches: Mappings of what the model takes by keyword, and of "target", which it does not
            get. They are moved to where the model is.
        paths: For each name the path of a module, as in ``model.named_modules()``: its output
            is the feature. With ":input" at the end, its first input is:
            ``{"fused": "fusion.head:input"}``. Of an output that is not one tensor, an index
            says which: ``"rnn[1][-1]"``, as in Python, is the last layer's final state of a GRU,
            ``"rnn[0][:, -1]"`` its last step, ``"bert[pooler_output]"`` an entry by its name.
        call: Runs the model on a batch. Default: ``model(**batch)`` without the target.
        segments: The task, where each of its segments shall be a sample of its own: features
            (B, T, ...) of targets (B, T) become B x T rows, without those that do not count.
            Default: none, a row for each sample.

    Returns:
        Features of shape (N, D), all but their first axis flattened, and the target.

    Raises:
        ValueError: If a path is no module or has no such entry, a feature has no row for each
            sample or not as many numbers in each batch, or there is no batch.
        RuntimeError: If a module is not called exactly once a pass.
        TypeError: If a batch is no mapping, the model has no ``forward`` or a feature is not one
            tensor.

    Example:
        >>> from counterpoise.models import build
        >>> model = build({"left": (3,), "right": (5,)}, num_classes=2, num_features=11)
        >>> data = [{"left": torch.randn(7, 3), "right": torch.randn(7, 5)}] * 2
        >>> paths = {"left": "encoders.left", "fused": "fusion.head:input"}
        >>> features = extract_features(model, data, paths).features
        >>> features["left"].shape, features["fused"].shape
        (torch.Size([14, 11]), torch.Size([14, 22]))
    """
    check_kind("model", model, nn.Module, "a torch.nn.Module")
    check_paths("paths", paths)
    check_function("call", call, "a function that runs the model on a batch")
    check_batches("batches", batches)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    taps = {name: Tap(model, name, path) for name, path in paths.items()}
    kept: dict[str, list[Tensor]] = {name: [] for name in taps}
    targets: list[Tensor] = []
    with ExitStack() as stack:
        stack.enter_context(EvaluationMode(model.modules()))
        for tap in taps.values():
            stack.enter_context(tap)
        for batch in batches:
            placed = placed_on(device, batch)
            (call or _by_keyword)(model, placed)
            target = placed.get("target")
            leading = tensors(placed)[0].shape[:1] if segments is None else placed["target"].shape
            for name, tap in taps.items():
                kept[name].append(tap.take(leading))
            if target is not None:
                targets.append(target.cpu())
    if not all(kept.values()):
        raise ValueError("`batches` should hold at least one batch; found none. Pass more data.")
    features = {name: _joined(taps[name], several) for name, several in kept.items()}
    target = torch.cat(targets) if targets else None
    if segments is None or target is None:
        return Extracted(features, target)
    counted = target.flatten() != segments.ignore_index
    features = {name: value[counted] for name, value in features.items()}
    return Extracted(features, target.flatten()[counted])


def _joined(tap: Tap, several: list[Tensor]) -> Tensor:
    sizes = sorted({feature.shape[1] for feature in several})
    if len(sizes) > 1:
        raise ValueError(
            f"{tap.what} should have as many numbers for each sample; found {sizes[0]} in one "
            f"batch and {sizes[-1]} in another, as of sequences of unequal lengths. Name a module "
            "after they are pooled, or one step by an index, as in 'rnn[0][:, -1]'."
        )
    return torch.cat(several)


class Batches:  # used like range(), which is a class too
    """A data set in batches, in order, as often as it is gone through.

    Args:
        dataset: What to go through.
        batch_size: Samples in a batch, at least 1. Default: 256; results do not depend on it.

    Raises:
        ValueError: If ``batch_size`` is below 1.

    Example:
        >>> from counterpoise.data import MultimodalDataset
        >>> dataset = MultimodalDataset({"left": torch.zeros(5, 3)}, torch.arange(5))
        >>> batches = Batches(dataset, batch_size=3)
        >>> [len(batch["target"]) for batch in batches], len(batches)
        ([3, 2], 2)
    """

    def __init__(self, dataset: Samples, batch_size: int = 256) -> None:
        if not (hasattr(dataset, "__getitems__") or isinstance(dataset, Batched)):
            raise TypeError(
                f"`dataset` should be one that gives whole batches; found {dataset!r}. Pass a "
                "MultimodalDataset."
            )
        check_count("batch_size", batch_size, at_least=1)
        self.dataset, self.batch_size = dataset, batch_size

    def __len__(self) -> int:
        """Number of batches."""
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches, each made in one indexing operation a modality."""
        if isinstance(self.dataset, Batched):  # by a loader, which has its own size of batches
            yield from self.dataset
            return
        for start in range(0, len(self.dataset), self.batch_size):
            stop = min(start + self.batch_size, len(self.dataset))
            yield self.dataset.__getitems__(torch.arange(start, stop))


def check_batch(batch: Batch) -> None:
    """Raise unless a batch is a mapping.

    Raises:
        TypeError: If it is anything else, as a tuple.
    """
    if not isinstance(batch, Mapping):
        raise TypeError(
            f"Each batch should be a mapping of names to tensors; found {described(batch)}. "
            "Name what it holds: {'audio': ..., 'image': ..., 'target': ...}, as `Batches` of a "
            "`MultimodalDataset` does."
        )


def check_batches(name: str, batches: object) -> None:
    """Raise unless there is something to go through.

    Raises:
        TypeError: If not.
    """
    if not isinstance(batches, Iterable) or isinstance(batches, (str, Mapping)):
        raise TypeError(
            f"`{name}` should be batches, one after the other; found {described(batches)}. Pass a "
            "DataLoader, a list of mappings, or `Batches` of a data set."
        )


def check_paths(name: str, paths: object) -> None:
    """Raise unless names lead to paths of modules, at least one.

    Raises:
        TypeError: If not.
    """
    check_mapping(name, paths, str, "names to paths of modules")
    if not paths:
        raise TypeError(f"`{name}` should name at least one module; found none. Pass its path.")


def placed_on(device: torch.device, batch: Batch) -> dict[str, Any]:
    """Return a batch with its tensors on a device.

    Raises:
        TypeError: If it is no mapping.
    """
    check_batch(batch)
    return {name: map_tensors(lambda t: t.to(device), batch[name]) for name in batch}


def _by_keyword(model: nn.Module, batch: Batch) -> object:
    try:
        return model(**{name: value for name, value in batch.items() if name != "target"})
    except TypeError as error:
        if "_forward_unimplemented" not in str(error):
            raise
        raise TypeError(
            f"`model` should have a `forward`, to be run on batches; found a "
            f"{type(model).__name__} without one. Pass the network within it, or `call`, which "
            "runs it on a batch."
        ) from error
