"""Competition strength of models that are already trained, by this package or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from counterpoise.core.errors import check_mapping, check_names
from counterpoise.measures.features import Batch, Call, check_batches, check_paths, extract_features
from counterpoise.measures.strength import competition_strength
from counterpoise.measures.unimodal import UnimodalModel

if TYPE_CHECKING:
    from counterpoise.data import Segments


def model_strengths(
    model: nn.Module,
    concepts: Mapping[str, nn.Module],
    fit: Iterable[Batch],
    test: Iterable[Batch],
    *,
    fused: str,
    concept: str | Mapping[str, str],
    ridge: float = 120.0,
    call: Call | None = None,
    segments: Segments | None = None,
) -> dict[str, float]:
    """Measure the competition strength of each modality in models that are trained already.

    Args:
        model: The joint model: any module, a LightningModule too.
        concepts: For each modality the model that was trained on it alone, on the same training
            data: its own branch, or the same network as a :class:`UnimodalModel`.
        fit: Batches that no model was trained on, to fit the probes on.
        test: Other such batches, to evaluate on.
        fused: Path of the joint model's fused feature, as :func:`extract_features` takes it:
            the output of a module, or with ":input" its input.
        concept: Path of the concept, the penultimate feature, in the concept models; one for
            all, or one for each. Within a ``UnimodalModel`` paths need not begin with "model.".
        ridge: As in :func:`competition_strength`.
        call: Runs a model on a batch. Default: ``model(**batch)`` without the target.
        segments: As :func:`extract_features` takes it: the task, where each of its segments is
            a sample. Default: none.

    Returns:
        The competition strength of each modality of ``concepts``.

    Raises:
        ValueError: If a path is unknown, a split is too small or a feature is not finite.
        RuntimeError: If a module is not called exactly once a pass.
        TypeError: If a batch is no mapping, a model has no ``forward`` or a feature is not a
            tensor.

    Example:
        >>> import torch
        >>> from counterpoise.measures import Batches, UnimodalModel
        >>> from counterpoise.data import Synthetic
        >>> from counterpoise.models import build
        >>> data = Synthetic(num_validation=200, num_test=100).load()
        >>> _ = torch.manual_seed(0)
        >>> joint, other = (build(data.sample_shapes, data.num_classes) for _ in range(2))
        >>> alone = UnimodalModel(other, "m1", data.modalities)  # here trained on m1, as is joint
        >>> strengths = model_strengths(
        ...     joint,
        ...     {"m1": alone},
        ...     Batches(data.validation),
        ...     Batches(data.test),
        ...     fused="fusion.head:input",
        ...     concept="encoders.m1",
        ... )
        >>> strengths["m1"] > 0
        True
    """
    check_mapping("concepts", concepts, nn.Module, "modalities to models")
    named = dict.fromkeys(concepts, concept) if isinstance(concept, str) else concept
    check_names("concepts", [*concepts])
    check_paths("concept", named)
    if missing := [name for name in concepts if name not in named]:
        raise ValueError(
            f"`concept` should have a path for each of {', '.join(concepts)}; found none for "
            f"{', '.join(missing)}. Add it, or give one path for all."
        )
    check_paths("fused", {"fused": fused})
    for label, batches in (("fit", fit), ("test", test)):
        check_batches(label, batches)
    splits = [list(s) if isinstance(s, Iterator) else s for s in (fit, test)]
    how: dict[str, Any] = {"call": call, "segments": segments}
    fused_of = [extract_features(model, s, {"fused": fused}, **how) for s in splits]
    strengths = {}
    for name, alone in concepts.items():
        path = named[name]
        path = f"model.{path}" if isinstance(alone, UnimodalModel) else path
        extracted = [extract_features(alone, s, {"concept": path}, **how) for s in splits]
        try:
            strengths[name] = competition_strength(
                fused_of[0].features["fused"],
                extracted[0].features["concept"],
                fused_of[1].features["fused"],
                extracted[1].features["concept"],
                ridge,
            )
        except ValueError as error:
            raise ValueError(f"Modality {name!r}: {error}") from None
    return strengths
