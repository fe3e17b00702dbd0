"""Features out of any module, by path, in one pass over a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_count, suggestion
from counterpoise.core.pytree import map_tensors, tensors
from counterpoise.data.contract import Batched
from counterpoise.engine.modes import EvaluationMode

if TYPE_CHECKING:
    from counterpoise.data import Samples

__all__ = ["Batch", "Batches", "Call", "Extracted", "extract_features"]

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
) -> Extracted:
    """Return the outputs, or inputs, of some modules of a model on a data set, flattened.

    The model runs once a batch, in eval mode without gradient; its flags are restored.

    Args:
        model: Any module, such as a network, a ``Balanced`` or a LightningModule.
        batches: Mappings of what the model takes by keyword, and of "target", which it does not
            get. They are moved to where the model is.
        paths: For each name the path of a module, as in ``model.named_modules()``: its output
            is the feature. With ":input" at the end, its first input is:
            ``{"fused": "fusion.head:input"}``.
        call: Runs the model on a batch. Default: ``model(**batch)`` without the target.

    Returns:
        Features of shape (N, D), all but their first axis flattened, and the target.

    Raises:
        ValueError: If a path is no module, a feature has no row for each sample, or there is no
            batch.
        RuntimeError: If a module is not called exactly once a pass.
        TypeError: If a batch is no mapping, the model has no ``forward`` or a feature is not one
            tensor.

    Example:
        >>> from counterpoise.models import build
        >>> model = build({"left": (3,), "right": (5,)}, num_classes=2, num_features=11)
        >>> data = [{"left": torch.randn(7, 3), "right": torch.randn(7, 5)}] * 2
        >>> paths = {"left": "encoders.left", "fused": "fusion.head:input"}
        >>> found = extract_features(model, data, paths).features
        >>> found["left"].shape, found["fused"].shape
        (torch.Size([14, 11]), torch.Size([14, 22]))
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    taps = {name: _Tap(model, name, path) for name, path in paths.items()}
    kept: dict[str, list[Tensor]] = {name: [] for name in taps}
    targets: list[Tensor] = []
    with ExitStack() as stack:
        stack.enter_context(EvaluationMode(model.modules()))
        for tap in taps.values():
            stack.enter_context(tap)
        for batch in batches:
            placed = placed_on(device, batch)
            (call or _by_keyword)(model, placed)
            num_rows = len(tensors(placed)[0])
            for name, tap in taps.items():
                kept[name].append(tap.take(num_rows))
            if placed.get("target") is not None:
                targets.append(placed["target"].cpu())
    if not all(kept.values()):
        raise ValueError("`batches` should hold at least one batch; found none. Pass more data.")
    features = {name: torch.cat(several) for name, several in kept.items()}
    return Extracted(features, torch.cat(targets) if targets else None)


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
            f"Each batch should be a mapping of names to tensors; found a {type(batch).__name__}. "
            "Name what it holds: {'audio': ..., 'image': ..., 'target': ...}, as `Batches` of a "
            "`MultimodalDataset` does."
        )


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


class _Tap:
    """Listens to one module while the block lasts."""

    def __init__(self, model: nn.Module, name: str, path: str) -> None:
        self.what = f"`paths[{name!r}]` = {path!r}"
        module_path, _, side = path.partition(":")
        modules = dict(model.named_modules(remove_duplicate=False))
        if not module_path or module_path not in modules:
            raise ValueError(
                f"`paths[{name!r}]` should be the path of a module of the model; found "
                f"{module_path!r}.{suggestion(module_path, modules)} See `model.named_modules()` "
                "for the paths."
            )
        if side not in ("", "input", "output"):
            raise ValueError(
                f"`paths[{name!r}]` should end with ':input', ':output' or neither; found "
                f"{path!r}. Name what of the module is the feature."
            )
        self.module, self.of_input = modules[module_path], side == "input"
        self.caught: list[Any] = []

    def __enter__(self) -> None:
        if self.of_input:  # before the module runs, which may change its input in place
            self._handle = self.module.register_forward_pre_hook(self._input, with_kwargs=True)
        else:
            self._handle = self.module.register_forward_hook(self._output)

    def __exit__(self, *exception: object) -> None:
        self._handle.remove()

    def _input(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._catch(next(iter((*args, *kwargs.values())), None))

    def _output(self, module: nn.Module, args: Any, output: Any) -> None:
        self._catch(output)

    def _catch(self, feature: Any) -> None:
        # Copied at once: what comes next in the model may change it in place.
        self.caught.append(map_tensors(lambda t: t.detach().to("cpu", copy=True), feature))

    def take(self, num_rows: int) -> Tensor:
        """Return what was caught in the pass that is over, shape (num_rows, D)."""
        caught, self.caught = self.caught, []
        if len(caught) != 1:
            raise RuntimeError(
                f"{self.what} should be called exactly once in a forward pass of the model; "
                f"found {len(caught)} calls. Name a module that is called once (by "
                "`module(...)`, not by another method)."
            )
        found = tensors(caught[0])
        if len(found) != 1:
            raise TypeError(
                f"{self.what} should give one tensor; found {len(found)} of them. Name a module "
                "within it, or one that comes after."
            )
        feature = found[0]
        if feature.shape[:1] != (num_rows,):
            raise ValueError(
                f"{self.what} should have a row for each of {num_rows} samples; found shape "
                f"{tuple(feature.shape)}. Name a module whose first axis is the batch."
            )
        return feature.flatten(1) if feature.dim() > 1 else feature.unsqueeze(1)
