"""Checks of the arguments: what is wrong with a set-up is said when a model is wrapped."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.coalitions import Sampling
from counterpoise.core.errors import suggestion
from counterpoise.core.pytree import PyTree, tensors
from counterpoise.methods.method import Method

__all__ = [
    "check_call",
    "check_encoders",
    "check_forward",
    "check_modalities",
    "check_parts",
    "check_select",
    "check_target",
    "default_sampling",
]

# -- when a model is wrapped ---------------------------------------------------------------------


def check_modalities(modalities: Sequence[str]) -> tuple[str, ...]:
    """Return the names, two or more different strings."""
    listed = isinstance(modalities, Sequence) and not isinstance(modalities, str)
    if not listed or not all(isinstance(name, str) for name in modalities):
        raise TypeError(
            f"`modalities` should be a sequence of names; found {modalities!r}. "
            'Pass for example ("audio", "image").'
        )
    if len(modalities) < 2:
        raise ValueError(
            f"`modalities` should name two or more; found {len(modalities)}. One modality has "
            "nobody to compete with: train the model as it is."
        )
    for name in modalities:
        if list(modalities).count(name) > 1:
            raise ValueError(
                f"`modalities` should differ from each other; found {name!r} twice. Remove one."
            )
        if name == "target":
            raise ValueError(
                "`modalities` should leave the name 'target' to the labels; found it among them. "
                "Rename the modality in the model's forward."
            )
    return tuple(modalities)


def check_parts(method: object, score: object, criterion: object) -> None:
    """Raise unless the method is a method, and what scores can be called."""
    if not isinstance(method, Method):
        found = f"the class {method.__name__}" if isinstance(method, type) else repr(method)
        raise TypeError(
            f"`method` should be a method such as cp.AGM(); found {found}. Pass an object of it."
        )
    for name, given in (("score", score), ("criterion", criterion)):
        if isinstance(given, type) or not (given is None or callable(given)):
            found = f"the class {given.__name__}" if isinstance(given, type) else repr(given)
            raise TypeError(
                f"`{name}` should be a function of logits and target; found {found}. Pass an "
                "object such as cp.scores.SquaredError()."
            )


def check_forward(model: nn.Module, modalities: Sequence[str]) -> None:
    """Raise unless the model's forward takes every modality as a keyword."""
    known = _keywords(model)
    for name in modalities:
        if known is not None and name not in known:
            raise ValueError(
                f"`modalities` should be keywords of the model's forward, which takes "
                f"{', '.join(known)}; found {name!r}.{suggestion(name, known)} Name them as the "
                "model does."
            )


def check_encoders(
    model: nn.Module, modalities: Sequence[str], encoders: Mapping[str, str] | None, level: str
) -> None:
    """Raise unless every encoder is a module of the model, a different one for each modality."""
    if level == "inputs" and not encoders:
        return
    encoders = encoders or {}
    for name in encoders:
        if name not in modalities:
            raise ValueError(
                f"`encoders` should name modalities, which are {', '.join(modalities)}; found "
                f"{name!r}.{suggestion(name, modalities)}"
            )
    missing = [name for name in modalities if name not in encoders]
    if missing and level != "inputs":
        raise ValueError(
            f'`encoders` should name an encoder for each modality when coalitions="{level}"; '
            f'found none for {", ".join(missing)}. Add it, or use coalitions="inputs".'
        )
    paths = dict(model.named_modules(remove_duplicate=False))
    owners: dict[nn.Module, str] = {}
    for name, path in encoders.items():
        if not path or path not in paths:
            raise ValueError(
                f"`encoders[{name!r}]` should be the path of a module of the model; found "
                f"{path!r}.{suggestion(path, paths)} See `model.named_modules()` for the paths."
            )
        if paths[path] in owners:
            raise ValueError(
                f"`encoders` should be a different module for each modality; found {path!r} for "
                f"both {owners[paths[path]]!r} and {name!r}. For tied encoders use "
                'coalitions="inputs" without `encoders`.'
            )
        owners[paths[path]] = name


def default_sampling(
    num_modalities: int, attribution: str, sampling: Sampling | None, exact_limit: int
) -> Sampling | None:
    """Return the sampling to use; None where coalitions are exact."""
    if sampling is not None:
        if attribution != "shapley":
            raise ValueError(
                '`sampling` should go with attribution="shapley"; found '
                f"{attribution!r}. Leave `sampling` out: {attribution} needs few coalitions."
            )
        sampling.num_pairs(num_modalities)
        return sampling
    if attribution != "shapley" or num_modalities <= exact_limit:
        return None
    chosen = Sampling(2 + 16 * (num_modalities - 1))
    warnings.warn(
        f"Shapley values of {num_modalities} modalities are sampled with {chosen.num_passes} "
        f"passes a step instead of {2**num_modalities - 1} (unless the model turns out to add "
        "up its modalities, which is exact and cheaper); `out.sampling_error` tells how well. "
        "Pass `sampling=Sampling(num_passes=...)` to choose, which also ends this warning.",
        stacklevel=3,
    )
    return chosen


# -- at every call -------------------------------------------------------------------------------


def check_call(model: nn.Module, modalities: Sequence[str], inputs: Mapping[str, Any]) -> None:
    """Raise unless the keywords are the modalities and others that the model takes."""
    for name in modalities:
        if inputs.get(name) is None:
            given = ", ".join(inputs) or "no keyword"
            raise TypeError(
                f"Modality {name!r} should be given as a keyword; found {given}. Pass its batch, "
                "also where it is to be absent."
            )
        if not tensors(inputs[name]):
            raise TypeError(
                f"Modality {name!r} should be a tensor or a nest of tensors; found "
                f"{type(inputs[name]).__name__}. Pass lists, tuples or dictionaries of tensors."
            )
    if len(inputs) == len(modalities) or torch.compiler.is_compiling():
        return
    known = _keywords(model)
    for name in inputs:
        if known is not None and name not in modalities and name not in known:
            raise TypeError(
                f"Keyword {name!r} should be a modality or an argument of the model's forward, "
                f"which takes {', '.join(known)}; found neither."
                f"{suggestion(name, [*known, *modalities])}"
            )


def _keywords(model: nn.Module) -> list[str] | None:
    """Return the keywords of a model's forward, None where it takes any."""
    parameters = signature(model.forward).parameters.values()
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind is not Parameter.VAR_POSITIONAL]


def check_select(raw: Any) -> Tensor:
    """Return the model's output as logits: the default of ``select``."""
    if isinstance(raw, Tensor):
        return raw
    raise TypeError(
        f"The model should return a tensor of logits; found {type(raw).__name__}. Pass "
        "`select=`, a function from what it returns to the logits, such as "
        "select=lambda output: output.logits."
    )


def check_target(score: Any, logits: Tensor, target: PyTree) -> None:
    """Raise unless the target suits the logits, on the first batch, where it may cost time."""
    for each in tensors(target):
        if each.shape[:1] != logits.shape[:1]:
            raise ValueError(
                f"`target` should have a row for each of the {len(logits)} rows of logits; found "
                f"shape {tuple(each.shape)}. Pass the labels of this batch."
            )
    check = getattr(score, "check", None)
    if check is not None and len(logits):
        check(logits, target)
