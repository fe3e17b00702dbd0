"""Whether a model has a gradient where a modality is absent.

The root of what is zero has no finite slope: a norm or a standard deviation that is written by
hand makes NaN of the gradient of an absent modality whose values are finite, and one step of that
leaves NaN in all weights.
"""

from __future__ import annotations

import logging
from functools import partial

import torch
from torch import Tensor, nn

from counterpoise.core.coalitions import Plan
from counterpoise.core.scores import is_distributed
from counterpoise.engine.batch import Batch
from counterpoise.engine.demands import Demand
from counterpoise.engine.evaluator import Evaluator
from counterpoise.engine.inspection import in_high_precision
from counterpoise.engine.setup import Facts, Setup
from counterpoise.engine.whole_passes import WholePasses, telling_plan

logger = logging.getLogger(__name__)


def check_gradients(setup: Setup, model: nn.Module, batch: Batch, wanted: Demand) -> None:
    """Raise unless gradients through coalitions are finite where those of the full one are.

    Looked at on a few rows. Not in several processes, all of which would have to raise.

    Args:
        setup: How coalitions are evaluated.
        model: The user's module; it is left as it was.
        batch: To run it on.
        wanted: What the passes of a step have to compute.

    Raises:
        ValueError: Naming the modality that is absent, and the parameter.
    """
    for kind, zero_features in ((wanted.responses, False), (wanted.unimodal, True)):
        if kind != "gradients" or is_distributed():
            continue
        look = partial(_culprit, setup, model, zero_features)
        try:
            found = in_high_precision(model, batch, look)
        except Exception as error:  # which the step itself will raise, and say better
            logger.info("Gradients of coalitions are not looked at: the model raised %r.", error)
            continue
        if found is not None:
            absent, parameter = found
            what = "its features at zero" if zero_features else "it absent"
            raise ValueError(
                f"The gradient should be finite where modality {absent} is absent; found NaN or "
                f"infinity in that of {parameter!r} with {what}. A root, and a norm or deviation "
                "that is written by hand, has no slope at zero: add a small number under it, as "
                "in `(x.square().sum(1) + 1e-12).sqrt()`, or "
                + (
                    "give the method heads of its own."
                    if zero_features
                    else "choose another absent value, such as `absence.Noise()`."
                )
            )


def _culprit(
    setup: Setup, model: nn.Module, zero_features: bool, batch: Batch
) -> tuple[str, str] | None:
    """Return who is absent where a gradient is not finite, and of what; None where all are."""
    passes = WholePasses(setup, model, batch)
    with torch.no_grad():
        passes.cut(passes.whole_pass(passes.everyone))
    evaluator = Evaluator(setup, Facts(rows=passes.batch.rows), model, passes.batch)
    num_modalities = len(setup.modalities)
    with torch.enable_grad():
        _, full = evaluator.full()
        broken = _not_finite(full, model)
        # Those with one modality absent first: they blame that one, and not several.
        for coalition in sorted(telling_plan(num_modalities).partial, key=len, reverse=True):
            plan = Plan.unweighted([coalition], num_modalities)
            value = evaluator.others(plan, gradient=True, zero_features=zero_features)
            for name in sorted(_not_finite(value, model) - broken):
                absent = [repr(n) for i, n in enumerate(setup.modalities) if i not in coalition]
                return " and ".join(absent), name
    return None


def _not_finite(logits: Tensor, model: nn.Module) -> set[str]:
    """Return the parameters in which the gradient of logits is not finite."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not (logits.requires_grad and named):
        return set()
    gradients = torch.autograd.grad(
        logits[logits.isfinite()].sum(), list(named.values()), retain_graph=True, allow_unused=True
    )
    pairs = zip(named, gradients, strict=True)
    return {name for name, g in pairs if g is not None and not g.isfinite().all()}
