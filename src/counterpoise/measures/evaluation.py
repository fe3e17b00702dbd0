"""One pass over a data set that evaluates every coalition of modalities, without gradient."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from counterpoise.balanced import Balanced
from counterpoise.core.coalitions import EXACT_LIMIT, Plan
from counterpoise.core.errors import described
from counterpoise.engine.arguments import check_call, check_wrapped
from counterpoise.engine.modes import EvaluationMode
from counterpoise.measures.contributions import every_coalition
from counterpoise.measures.features import Batch, check_batch, check_batches, placed_on

if TYPE_CHECKING:
    import torchmetrics


@torch.no_grad()
def coalition_logits(balanced: Balanced, batch: Batch) -> Tensor:
    """Return the logits of a wrapped model with every subset of its modalities present.

    All in eval mode, the full coalition too, through the engine that the model was wrapped with,
    so that encoders run once. The model's flags and the method's state stay as they are.

    Args:
        balanced: The wrapped model, of at most 8 modalities.
        batch: The modalities by name, and whatever else the model takes; "target" is left out.

    Returns:
        Shape (2^M, B, C, ...), in the order of
        :func:`counterpoise.measures.every_coalition`, no modality first, all last.

    Raises:
        ValueError: If there are more modalities than coalitions can be evaluated of.
        TypeError: If the model is not wrapped, or a modality is missing.

    Example:
        >>> import counterpoise as cp
        >>> from counterpoise.models import build
        >>> model = build({"left": (3,), "right": (5,)}, num_classes=2)
        >>> balanced = cp.Balanced(model, model.modalities, cp.Joint())
        >>> batch = {"left": torch.randn(7, 3), "right": torch.randn(7, 5)}
        >>> coalition_logits(balanced, batch).shape
        torch.Size([4, 7, 2])
    """
    check_wrapped(balanced)
    check_batch(batch)
    names = balanced.modalities
    if len(names) > EXACT_LIMIT:
        raise ValueError(
            f"`balanced` should have at most {EXACT_LIMIT} modalities, for each of 2^M coalitions "
            f"is evaluated; found {len(names)}. Wrap the model with related ones in one pytree."
        )
    inputs = {name: value for name, value in batch.items() if name != "target"}
    check_call(balanced.model, names, inputs)
    partial = every_coalition(len(names))[:-1]
    plan = Plan.unweighted(partial, len(names))
    with EvaluationMode(balanced.model.modules()):
        values = balanced.coalition_values(plan, **inputs)
    torch.clear_autocast_cache()  # of weights cast without gradient, if within autocast
    return values


def measure(
    balanced: Balanced,
    batches: Iterable[Batch],
    metrics: torchmetrics.Metric | torchmetrics.MetricCollection,
) -> Any:
    """Update metrics in one pass over a data set; return their values.

    Args:
        balanced: The wrapped model. Its set-up is validated on the first batch.
        batches: Mappings of the modalities, of "target", and of whatever else the model takes.
            They are moved to where the model is.
        metrics: What takes ``update(coalition logits, target)``, such as
            :func:`modality_metrics`. Reset first, and moved to where the model is.

    Returns:
        What ``metrics.compute()`` returns, over the batches of all processes where there are
        several.

    Raises:
        ValueError: If there is no sample, or the set-up is wrong; see ``Balanced.validate``.
        TypeError: If the model is not wrapped, or a batch is no mapping, or lacks a modality or
            the target.

    Example:
        >>> import counterpoise as cp
        >>> from counterpoise.models import build
        >>> model = build({"left": (3,), "right": (5,)}, num_classes=2)
        >>> balanced = cp.Balanced(model, model.modalities, cp.Joint())
        >>> batch = {"left": torch.randn(7, 3), "right": torch.randn(7, 5)}
        >>> batch["target"] = torch.arange(7) % 2
        >>> from counterpoise.measures import modality_metrics
        >>> values = measure(balanced, [batch], modality_metrics(num_modalities=2))
        >>> values["contribution"].shape
        torch.Size([2])
    """
    check_wrapped(balanced)
    check_batches("batches", batches)
    if isinstance(metrics, type) or not hasattr(metrics, "reset"):
        raise TypeError(
            f"`metrics` should be metrics of TorchMetrics; found {described(metrics)}. Pass for "
            "example modality_metrics(num_modalities)."
        )
    device = next((p.device for p in balanced.parameters()), torch.device("cpu"))
    metrics.reset()
    if device.type == "mps":  # which has no double precision
        metrics.set_dtype(torch.float32)
    metrics.to(device)
    validated = False
    for batch in batches:
        placed = placed_on(device, batch)
        if "target" not in placed:
            raise TypeError(
                f"Each batch should hold a 'target'; found {', '.join(placed)}. Add the labels."
            )
        if not validated:
            balanced.validate(**placed)
            validated = True
        metrics.update(coalition_logits(balanced, placed), placed["target"])
    if not validated:
        raise ValueError("`batches` should hold at least one batch; found none. Pass more data.")
    return metrics.compute()
