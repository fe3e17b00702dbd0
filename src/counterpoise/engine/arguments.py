"""Checks of the arguments: what is wrong with a set-up is said when a model is wrapped."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.coalitions import Sampling
from counterpoise.core.errors import (
    check_choice,
    check_flag,
    check_function,
    described,
    suggestion,
)
from counterpoise.core.pytree import PyTree, tensors
from counterpoise.engine.interception import COMPILED
from counterpoise.engine.modes import modules_of
from counterpoise.engine.ownership import Ownership
from counterpoise.methods.method import LEVELS, Method, Needs

# -- when a model is wrapped ---------------------------------------------------------------------


def check_parts(
    model: object, method: object, score: object, criterion: object, select: object, group: object
) -> None:
    """Raise unless the model is a module, the method a method, and the rest can be called."""
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"`model` should be a torch.nn.Module; found {described(model)}. Pass an object of one."
        )
    if not isinstance(method, Method):
        raise TypeError(
            f"`method` should be a method such as cp.AGM(); found {described(method)}. Pass an "
            "object of it."
        )
    for name, given in (("score", score), ("criterion", criterion)):
        check_function(name, given, "a function of logits and target")
    check_function("select", select, "a function from the model's output to its logits")
    if group is not None and type(group).__name__ != "ProcessGroup":
        raise TypeError(
            f"`process_group` should be a torch.distributed.ProcessGroup; found "
            f"{described(group)}. Make it by torch.distributed.new_group(), or leave it out "
            "for all processes."
        )


def check_forward(model: nn.Module, modalities: Sequence[str]) -> None:
    """Raise unless the model's forward takes every modality as a keyword, and no target."""
    known = _keywords(model)
    if known is not None and "target" in known:
        raise ValueError(
            "The model's forward should take labels by another name than `target`, which is not "
            "handed on to it; found `target` among its arguments. Rename it there, to `labels` "
            "say, and pass both: balanced(..., target=y, labels=y)."
        )
    for name in modalities:
        if known is not None and name not in known:
            raise ValueError(
                f"`modalities` should be keywords of the model's forward, which takes "
                f"{', '.join(known)}; found {name!r}.{suggestion(name, known)} Name them as the "
                "model does."
            )


def check_level(level: str, ownership: Ownership) -> None:
    """Raise unless the level's encoders are known."""
    missing = [name for name in ownership.modalities if name not in ownership.encoders]
    if missing and level != "inputs":
        raise ValueError(
            f'`modalities` should name an encoder for each modality at level "{level}"; found none '
            f'for {", ".join(missing)}. Add it, or use coalitions="inputs".'
        )


def check_method(method: Method, ownership: Ownership, model: nn.Module) -> None:
    """Raise unless the model has what the method acts on, and `needs` asks for what it overrides.

    Raises:
        TypeError: If what it says that it needs is no ``Needs``.
        ValueError: If it would act nowhere: it would pass for a method that does not help.
    """
    name, needs, places = method.title(), method.needs(), method.places()
    if not isinstance(needs, Needs):
        raise TypeError(
            f"`{name}.needs()` should return a cp.Needs; found {needs!r}. Return for example "
            'cp.Needs(responses="gradients").'
        )
    for field in ("responses", "unimodal_logits"):
        check_choice(f"{name}.needs().{field}", getattr(needs, field), LEVELS)
    check_choice(f"{name}.needs().owns", needs.owns, ("", "encoders", "branches"))
    for field in ("features", "values", "rest_frozen"):
        check_flag(f"{name}.needs().{field}", getattr(needs, field))
    if needs.features:
        ownership.require("encoders", name)
    elif "feature" in places:
        raise ValueError(
            f"`{name}.needs()` should ask for features where `feature` is overridden; found that "
            "it does not, so that it would never be called. Return cp.Needs(features=True, ...)."
        )
    scales = bool(places & {"encoder_factors", "encoder_gradient"})
    if needs.owns == "encoders" or scales or needs.rest_frozen:
        ownership.require("encoders", name)
        ownership.check_owners(model)
        ownership.check_owners(model, "encoders")
    if needs.owns == "branches" or "learning_rates" in places:
        ownership.require("branches", name)
        ownership.check_owners(model)
    if scales:
        ownership.require_trainable(model, name)
    asked = (needs.responses, needs.unimodal_logits, needs.owns) != ("nothing", "nothing", "")
    if "coefficients" in places and not asked:
        raise ValueError(
            f'`{name}.needs()` should ask for responses with "gradients" where `coefficients` is '
            "overridden; found that it asks for nothing, so that there would be nothing to scale. "
            'Return cp.Needs(responses="gradients").'
        )


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
        "up its modalities, which is exact and cheaper); `out.sampling_error` tells how well. Pass "
        "coalitions=cp.Coalitions(sampling=cp.Sampling(num_passes=...)) to choose, which also ends "
        "this warning.",
        stacklevel=3,
    )
    return chosen


def check_scripted(statistics: str, model: nn.Module) -> None:
    """Raise if batch statistics that coalitions use again are those of a scripted layer.

    What runs inside a scripted module cannot be listened to.
    """
    for module in modules_of(model) if statistics == "batch" else ():
        name = getattr(module, "original_name", "")
        if isinstance(module, torch.jit.ScriptModule) and "BatchNorm" in name and module.training:
            raise ValueError(
                "Batch normalisation in train mode should be in modules that are not scripted, so "
                f"that its statistics can be used again; found a scripted {name}. Script the model "
                'after training, or pass coalitions=cp.Coalitions(statistics="running").'
            )


def check_compiled(model: nn.Module, paths: Iterable[str]) -> None:
    """Raise if a module around one that is listened to is compiled in place."""
    for path in paths:
        names = path.split(".")
        for depth in range(len(names)):
            around = ".".join(names[:depth])
            if model.get_submodule(around).__dict__.get(COMPILED) is not None:
                shown = f"module {around!r}" if around else "model"
                raise ValueError(
                    f"The model should be compiled with its wrapper; found that the {shown}, in "
                    f"which {path!r} is to be listened to, was compiled in place. Leave out its "
                    "`.compile()` and compile the whole: torch.compile(balanced)."
                )


def check_no_replica(balanced: nn.Module) -> None:
    """Raise if a step would be that of a replica: what its method learns is lost with it."""
    if "_is_replica" in balanced.__dict__:
        raise RuntimeError(
            "Each process should have one device, since scores are means over a whole batch; found "
            "the wrapper replicated by torch.nn.DataParallel. Use DistributedDataParallel."
        )


def check_wrapped(balanced: object) -> None:
    """Raise unless a model is wrapped; a compiled one passes on what it is asked."""
    if isinstance(balanced, type) or not hasattr(balanced, "ownership"):
        raise TypeError(
            f"`balanced` should be a model wrapped by counterpoise.Balanced; found "
            f"{described(balanced)}. Wrap it by cp.Balanced(model, modalities, method)."
        )


# -- at every call -------------------------------------------------------------------------------


def check_call(model: nn.Module, modalities: Sequence[str], inputs: Mapping[str, Any]) -> None:
    """Raise unless the keywords are the modalities and others that the model takes."""
    for name in modalities:
        if inputs.get(name) is None:
            given = "None" if name in inputs else ", ".join(inputs) or "no keyword"
            raise TypeError(
                f"Modality {name!r} should be given as a keyword; found {given}. Pass its batch, "
                "also where it is to be absent."
            )
        value = inputs[name]
        leaves = [value] if isinstance(value, Tensor) else tensors(value)
        for leaf in leaves:
            if leaf.is_nested or leaf.layout != torch.strided:
                odd = "nested" if leaf.is_nested else "sparse"
                raise TypeError(
                    f"Modality {name!r} should be of dense tensors; found a {odd} one. Pass it "
                    "dense, or padded with a mask beside it."
                )
        if not leaves:
            raise TypeError(
                f"Modality {name!r} should be a tensor or a pytree of tensors; found "
                f"{type(value).__name__}. Pass lists, tuples or dictionaries of tensors."
            )
    if len(inputs) == len(modalities) or torch.compiler.is_compiling():
        return
    known = _keywords(model)
    for name in inputs:
        if known is not None and name not in modalities and name not in known:
            raise TypeError(
                f"Keyword {name!r} should be a modality or an argument of the model's forward, "
                f"which takes {', '.join(known)}; found neither."
                f"{suggestion(name, [*known, *modalities])} Leave it out of the batch, or let "
                "forward take it, if only as **others."
            )


def check_mode(model: nn.Module, target: PyTree) -> None:
    """Warn if a model is trained within a wrapper that is in eval mode."""
    trains = model.training and target is not None and torch.is_grad_enabled()
    if trains and not torch.compiler.is_compiling():
        warnings.warn(
            "The wrapper should be in train mode where its model is trained; found it in eval mode "
            "and its model in train mode, so that the method takes no part. Call "
            "`balanced.train()` and not `model.train()`.",
            stacklevel=4,
        )


def require_target(target: PyTree) -> None:
    """Raise unless a training step has a target."""
    if not (isinstance(target, Tensor) or tensors(target)):
        raise TypeError(
            f"`target` should be given in training mode, a tensor or a pytree of them; found "
            f"{described(target)}. Call balanced(..., target=labels), or balanced.eval() first for "
            "prediction."
        )


def _keywords(model: nn.Module) -> list[str] | None:
    """Return the keywords of a model's forward, None where it takes any."""
    parameters = signature(model.forward).parameters.values()
    if any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind is not Parameter.VAR_POSITIONAL]


def logits_of(select: Callable[[Any], Any] | None, raw: Any) -> Tensor:
    """Return the logits of a model's output: what ``select`` makes of it, or all of it."""
    logits = raw if select is None else select(raw)
    if not isinstance(logits, Tensor):
        kind = type(logits).__name__
        raise TypeError(
            f"The model should return a tensor of logits; found {kind}. Pass `select=`, a function "
            "from what it returns to the logits, such as select=lambda output: output.logits."
            if select is None
            else f"`select` should return a tensor of logits; found {kind}. Return them alone."
        )
    if not logits.dim():
        raise ValueError(
            f"Logits should have rows of the batch first; found one number. {_SQUEEZE}"
        )
    return logits


def check_rows(logits: Tensor, num_rows: int) -> None:
    """Raise unless logits have so many rows."""
    if logits.shape[0] != num_rows:
        raise ValueError(
            f"Logits should have rows of the batch first, {num_rows} here; found shape "
            f"{tuple(logits.shape)}. {_SQUEEZE}"
        )


_SQUEEZE = (
    "Where the model calls `squeeze`, name the axis, as in `logits.squeeze(-1)`: without one, the "
    "batch axis of a single sample goes too."
)
