"""Checks of heads: each should depend on one modality alone, and all should sum to the logits."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.pytree import map_tensors
from counterpoise.engine.batch import Batch
from counterpoise.engine.precision import left_as_it_was
from counterpoise.engine.setup import Setup
from counterpoise.engine.taps import Taps


@torch.no_grad()
def check_heads(setup: Setup, model: nn.Module, batch: Batch) -> None:
    """Check heads on a batch, by passes in eval mode with all modalities and without each.

    Args:
        setup: Knows the paths of the heads, if there are any.
        model: The user's module.
        batch: To check them on.

    Raises:
        ValueError: If outputs do not add up to the logits, or a head's changes when another
            modality is absent.
        RuntimeError: If a head is not called exactly once.
    """
    if not setup.heads:
        return
    names = setup.modalities
    with left_as_it_was(model, batch.inputs):
        whole, logits = _outputs(setup, model, batch.whole())
        if not len(logits):
            return
        _check_sum(whole, logits, setup.heads)
        for j, other in enumerate(names):
            rest = tuple(i for i in range(len(names)) if i != j)
            without, _ = _outputs(setup, model, batch.of(rest))
            for i, name in enumerate(names):
                if i != j and not close(without[i], whole[i]):
                    raise ValueError(
                        f"The head of modality {name!r}, {setup.heads[name]!r}, should see that "
                        f"modality alone; found that its output changes when {other!r} is absent. "
                        "Name each modality's own head, or none: responses serve any fusion."
                    )


def _outputs(
    setup: Setup, model: nn.Module, keywords: Mapping[str, Any]
) -> tuple[list[Tensor], Tensor]:
    """Run the model; return what each head returned, in order of modality, and the logits."""
    outputs: dict[int, Tensor] = {}

    def answer(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        outputs[i] = map_tensors(torch.clone, output)  # which may be added to in place
        return output

    raw = Taps(model, setup.modalities, setup.heads, kind="head").full_pass(keywords, answer)
    return [outputs[i] for i in sorted(outputs)], setup.select(raw)


def close(values: Tensor, truth: Tensor) -> bool:
    """Return whether values are the same but for rounding, as far as their type allows."""
    tolerance = sqrt(torch.finfo(truth.dtype).eps)
    scale = truth.nan_to_num(posinf=0, neginf=0).abs().max().item()
    return torch.allclose(values, truth, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _check_sum(outputs: list[Tensor], logits: Tensor, heads: Mapping[str, str]) -> None:
    fitting = all(isinstance(output, Tensor) and output.shape == logits.shape for output in outputs)
    if fitting and close(torch.stack(outputs).sum(dim=0), logits):
        return
    shapes = ", ".join(
        str(tuple(output.shape)) if isinstance(output, Tensor) else type(output).__name__
        for output in outputs
    )
    shown = "another sum" if fitting else f"{shapes} for logits of shape {tuple(logits.shape)}"
    raise ValueError(
        "Heads should be modules whose outputs add up to the model's logits, in eval mode too; "
        f"found {shown} from {', '.join(map(repr, heads.values()))}. Name no heads where the "
        "fusion is not additive: responses serve any fusion."
    )
