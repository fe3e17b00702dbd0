"""Whether heads are what their name promises: each one modality's own, adding up to the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.absence import AbsentValues
from counterpoise.core.pytree import PyTree, map_tensors
from counterpoise.engine.batch import Batch
from counterpoise.engine.evaluator import Engine
from counterpoise.engine.inspection import close, left_as_it_was
from counterpoise.engine.replay import Interception, resolve

__all__ = ["check_heads"]


@torch.no_grad()
def check_heads(
    engine: Engine,
    heads: Mapping[str, str],
    model: nn.Module,
    inputs: Mapping[str, PyTree],
    others: Mapping[str, Any],
    absent: AbsentValues,
) -> None:
    """Check heads on a batch, by passes in eval mode with all modalities and without each.

    Args:
        engine: That runs the model.
        heads: Path of each modality's head, or none.
        model: The user's module.
        inputs: Modality to batch.
        others: Keywords that pass through.
        absent: What stands in for absent modalities.

    Raises:
        ValueError: If outputs do not add up to the logits, or a head's changes when another
            modality is absent.
        RuntimeError: If a head is not called exactly once.
    """
    if not heads:
        return
    names = engine.modalities
    batch = Batch(names, inputs, others, absent)
    with left_as_it_was(model, inputs):
        whole, logits = _outputs(engine, heads, model, batch.whole())
        if not len(logits):
            return
        _check_sum(whole, logits, heads)
        for j, other in enumerate(names):
            without, _ = _outputs(
                engine, heads, model, batch.of(tuple(i for i in range(len(names)) if i != j))
            )
            for i, name in enumerate(names):
                if i != j and not close(without[i], whole[i]):
                    raise ValueError(
                        f"`heads[{name!r}]` = {heads[name]!r} should see modality {name!r} alone; "
                        f"found that its output changes when {other!r} is absent. Name each "
                        "modality's own head, or leave `heads` out: responses serve any fusion."
                    )


def _outputs(
    engine: Engine, heads: Mapping[str, str], model: nn.Module, keywords: Mapping[str, Any]
) -> tuple[list[Tensor], Tensor]:
    """Run the model; return what each head returned, in order of modality, and the logits."""
    found: dict[int, list[Tensor]] = {i: [] for i in range(len(engine.modalities))}

    def note(i: int, forward: Any, args: Any, kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        found[i].append(map_tensors(torch.clone, output))  # which may be added to in place
        return output

    with Interception(resolve(model, heads, engine.modalities), note):
        _, logits = engine.passes(model).plain(keywords)
    for i, name in enumerate(engine.modalities):
        if len(found[i]) != 1:
            raise RuntimeError(
                f"`heads[{name!r}]` = {heads[name]!r} should be called exactly once in a forward "
                f"pass of the model; found {len(found[i])} calls. Name a module that is called "
                "once, by `module(...)`."
            )
    return [outputs[0] for outputs in found.values()], logits


def _check_sum(outputs: list[Tensor], logits: Tensor, heads: Mapping[str, str]) -> None:
    fitting = all(isinstance(each, Tensor) and each.shape == logits.shape for each in outputs)
    if fitting and close(torch.stack(outputs).sum(dim=0), logits):
        return
    shapes = ", ".join(
        str(tuple(each.shape)) if isinstance(each, Tensor) else type(each).__name__
        for each in outputs
    )
    found = "another sum" if fitting else f"{shapes} for logits of shape {tuple(logits.shape)}"
    raise ValueError(
        "`heads` should be modules whose outputs add up to the model's logits, in eval mode too; "
        f"found {found} from {', '.join(map(repr, heads.values()))}. Leave `heads` out where the "
        "fusion is not additive: responses serve any fusion."
    )
