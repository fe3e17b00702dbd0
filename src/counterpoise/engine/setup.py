"""How coalitions are evaluated: what the user asked for, and what is known of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Setup:
    """How coalitions are to be evaluated, as the user asked; fixed when a model is wrapped.

    Attributes:
        modalities: Names, in order.
        level: "inputs", "features" or "shared".
        statistics: "batch" or "running".
        encoders: Path of each modality's encoder in the model; all of them beyond ``"inputs"``.
        heads: Path of each modality's own head, or none.
        select: From the model's output to its logits.
        process_group: Processes that train together; None for all.
    """

    modalities: tuple[str, ...]
    level: str
    statistics: str
    encoders: Mapping[str, str]
    heads: Mapping[str, str]
    select: Callable[[Any], Tensor]
    process_group: Any = None


@dataclass(frozen=True)
class Facts:
    """What is known of a model and makes its coalitions cheap; nothing, by default.

    Attributes:
        single: Encoders for which one absent sample tells what they make of a batch of them.
        batched: Whether coalitions of the rest may run as one longer batch.
        reads_inputs: Whether the rest looks at more than the encoders' outputs, so that a longer
            batch needs the inputs of each coalition.
        separable: Whether the logits are a sum of what each modality's features give, whatever
            the weights, so that modalities alone tell the values of all coalitions.
        rows: Names of other keywords whose tensors have a row for each sample.
        cloned: Encoders whose output the rest changes in place; None: not known, so all.
        in_step: Whether all processes have to make the same passes, each of which gathers
            weights that are sharded.
    """

    single: frozenset[int] = frozenset()
    batched: bool = False
    reads_inputs: bool = True
    separable: bool = False
    rows: frozenset[str] = frozenset()
    cloned: frozenset[int] | None = None
    in_step: bool = False
