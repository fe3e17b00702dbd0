"""What happens between epochs: evaluating on a validation loader, and collecting features."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.pytree import PyTree, map_tensors, tensors
from counterpoise.core.scores import Criterion, sum_over_processes
from counterpoise.engine.output import Output
from counterpoise.methods.method import Evaluation
from counterpoise.methods.shared.rows import check_samples, sample_axis

Metric = Callable[[Tensor, PyTree], Tensor | float]
"""From logits and target of a batch to a number that is higher when better, their mean."""


def evaluated(
    loader: Iterable[Mapping[str, Any]],
    respond: Callable[..., Output],
    criterion: Criterion,
    device: torch.device,
    *,
    epoch: int,
    metric: Metric,
    ignored: int | None = None,
    process_group: object = None,
) -> Evaluation:
    """Go through a loader and return means over all its samples, in all processes.

    A batch counts by its labels where some do not count, else by its samples.

    Args:
        loader: Batches, mappings of keywords with "target".
        respond: From the keywords to an output with unimodal logits.
        criterion: The joint loss of logits and target.
        device: Where batches are moved to.
        epoch: That the evaluation is of.
        metric: Of logits and target.
        ignored: The class label that does not count, if there are class labels.
        process_group: Processes to average over; None: all.

    Raises:
        ValueError: If there is no sample, or none with a label.
    """
    wide = torch.float32 if device.type == "mps" else torch.float64  # which has no wider one
    sums = count = torch.zeros((), dtype=wide, device=device)
    for batch in batches(loader, device):
        out, target = respond(**batch), batch["target"]
        assert out.unimodal_logits is not None
        logits = [out.logits, *out.unimodal_logits.to(out.logits.dtype)]
        pairs = [(criterion(output, target), metric(output, target)) for output in logits]
        rows = torch.stack([
            torch.stack([torch.as_tensor(value, device=device) for value in pair]) for pair in pairs
        ])  # fmt: skip
        size = num_counted(out.logits, target, ignored).to(wide)
        sums, count = sums + weighed(rows, size), count + size
    total = torch.cat([sums.flatten(), count.unsqueeze(0)])
    total = sum_over_processes(total, process_group)
    if not total[-1]:
        raise ValueError(
            "`loader` should yield samples; found none. Pass the validation data's "
            "loader, anew if it is an iterator that is used up."
        )
    means = (total[:-1] / total[-1]).view(-1, 2)
    return Evaluation(epoch, float(means[0, 0]), float(means[0, 1]), means[1:, 0], means[1:, 1])


def collect(
    loader: Iterable[Mapping[str, Any]],
    encode: Callable[..., Mapping[int, PyTree]],
    device: torch.device,
) -> tuple[list[Tensor], Tensor]:
    """Go through a loader; return each modality's features as rows, and the targets.

    Args:
        loader: Batches, mappings of keywords with "target".
        encode: From the keywords to the encoders' outputs by number.
        device: Where batches are moved to.
    """
    features: list[list[Tensor]] = []
    targets = []
    for batch in batches(loader, device):
        target = batch.pop("target")
        if not isinstance(target, Tensor):
            raise TypeError(
                f"'target' should be a tensor for a method that looks at the features of the data; "
                f"found a {type(target).__name__}. Use another method."
            )
        outputs = encode(**batch)
        rows = [_rows(index, outputs[index], len(target)) for index in sorted(outputs)]
        features.append(rows)
        targets.append(target)
    return [torch.cat(parts) for parts in zip(*features, strict=True)], torch.cat(targets)


def batches(loader: Iterable[Mapping[str, Any]], device: torch.device) -> Iterator[dict[str, Any]]:
    """Yield the batches of a loader, on a device.

    Raises:
        TypeError: If one is no mapping with a "target".
    """
    for batch in loader:
        if not isinstance(batch, Mapping) or "target" not in batch:
            shown = list(batch) if isinstance(batch, Mapping) else f"a {type(batch).__name__}"
            raise TypeError(
                f"`loader` should yield mappings of keywords with a 'target'; found {shown}. "
                "Give the loader a collate function that names the modalities."
            )
        moved = map_tensors(lambda tensor: tensor.to(device, non_blocking=True), dict(batch))
        yield moved


@contextmanager
def in_eval_mode(module: nn.Module) -> Iterator[None]:
    """Run in eval mode without gradient; put every part's own mode back.

    Outside inference mode, of whose tensors what a method keeps could not be trained with.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training


def right_share(logits: Tensor, target: PyTree, ignored: int | None = None) -> Tensor:
    """Return the share of class labels that are predicted right; NaN for any other target.

    Labels that are negative, or ``ignored``, do not count.

    Example:
        >>> right_share(torch.eye(3), torch.tensor([0, 1, 0])).round(decimals=4)
        tensor(0.6667)
    """
    nan = logits.new_full((), float("nan"))
    if not isinstance(target, Tensor) or target.is_floating_point():
        return nan
    if logits.dim() < 2 or logits.shape[1] < 2:  # one output a sample tells of no classes
        return nan
    if target.shape != (logits.shape[0], *logits.shape[2:]):
        return nan
    known = target.ge(0) if ignored is None else target.ge(0) & target.ne(ignored)
    right = (logits.argmax(dim=1).eq(target) & known).sum()
    wide = torch.promote_types(logits.dtype, torch.float32)
    return right.to(wide) / known.sum().clamp_min(1)


def num_counted(logits: Tensor, target: PyTree, ignored: int | None) -> Tensor:
    """Return how many labels of a batch, or else samples, a mean over it is the mean of.

    Example:
        >>> num_counted(torch.zeros(3, 2), torch.tensor([0, 255, 1]), 255)
        tensor(2)
    """
    if ignored is None or not isinstance(target, Tensor) or target.is_floating_point():
        return torch.tensor(len(logits), device=logits.device)
    return target.ne(ignored).sum()


def weighed(means: Tensor, size: Tensor) -> Tensor:
    """Return means over a batch times what they are means of; zeros, and not NaN, of nothing."""
    return (size * means.to(size)).where(size > 0, 0)


def _rows(index: int, feature: PyTree, num_rows: int) -> Tensor:
    check_samples(f"modality number {index}", feature, num_rows, "the method")
    axes = [(t, sample_axis(t, num_rows)) for t in tensors(feature) if t.is_floating_point()]
    parts = [t.movedim(axis, 0).flatten(1) for t, axis in axes if axis is not None]
    return torch.cat(parts, dim=1)
