"""Classes from outside this package in a recipe, wrapped in the kind that their section takes.

``model: mypackage.Net`` is short for an architecture that builds it, ``optimizer:
torch.optim.Adagrad`` and ``schedule: torch.optim.lr_scheduler.ExponentialLR`` likewise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml
from torch import nn, optim
from torch.optim.lr_scheduler import LRScheduler

from counterpoise.training.by_path import class_at
from counterpoise.training.own_classes import Module, TorchOptimizer, TorchSchedule


class _Foreign(NamedTuple):
    """What a section takes of others, and in what it is wrapped.

    Attributes:
        base: What the class of others derives from.
        wrapper: What the section's own class becomes.
        key: The wrapper's argument that holds the class.
        own: The wrapper's other arguments.
    """

    base: type
    wrapper: type
    key: str
    own: tuple[str, ...]


_FOREIGN = {
    "model": _Foreign(nn.Module, Module, "module", ("module", "arguments", "encoders", "heads")),
    "optimizer": _Foreign(optim.Optimizer, TorchOptimizer, "optimizer", ("optimizer", "arguments")),
    "schedule": _Foreign(
        LRScheduler, TorchSchedule, "schedule", ("schedule", "arguments", "interval")
    ),
}


def adopted(config: Mapping[str, Any]) -> dict[str, Any]:
    """Wrap the classes of others that a configuration names; all else stays.

    Example:
        >>> adopted({"optimizer": "torch.optim.Adagrad", "seed": 3})["optimizer"]["init_args"]
        {'optimizer': 'torch.optim.Adagrad', 'arguments': {}}
    """
    return {name: _adopted(name, section) for name, section in config.items()}


def adopted_arguments(
    config: Mapping[str, Any], arguments: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Take options that name a class of others, or set its arguments, into the configuration.

    Args:
        config: The configuration below the options, adopted.
        arguments: Options as typed.

    Returns:
        The configuration with them, and the options that are left.

    Example:
        >>> options = ["--optimizer", "torch.optim.Adagrad", "--optimizer.lr=0.5", "--seed", "3"]
        >>> config, rest = adopted_arguments({}, options)
        >>> config["optimizer"]["init_args"]["arguments"], rest
        ({'lr': 0.5}, ['--seed', '3'])
    """
    taken, rest = dict(config), []
    remaining = list(arguments)
    while remaining:
        argument = remaining.pop(0)
        option, equals, value = argument.partition("=")
        section, _, inner = option.removeprefix("--").partition(".")
        following = bool(remaining) and not remaining[0].startswith("--")
        if not equals and following:
            value = remaining[0]
        if section not in _FOREIGN or not (equals or following):
            rest.append(argument)
            continue
        new = _with(taken, section, inner, value)
        if new is None:
            rest.append(argument)
            continue
        taken[section] = new
        if not equals:
            remaining.pop(0)
    return taken, rest


def _with(config: Mapping[str, Any], section: str, inner: str, value: str) -> Any:
    """Return a section after an option was set in it; None if the option is not for this."""
    if not inner or inner == "class_path":
        new = _adopted(section, value)
        return None if new is value else new
    described, foreign = config.get(section), _FOREIGN[section]
    inner = inner.removeprefix("init_args.")
    if not isinstance(described, Mapping) or described.get("class_path") != _path(foreign):
        return None
    if inner.partition(".")[0] in foreign.own:
        return None
    settings = described["init_args"]
    given = {**settings.get("arguments", {}), inner: yaml.safe_load(value)}
    return {**described, "init_args": {**settings, "arguments": given}}


def _adopted(name: str, section: Any) -> Any:
    foreign = _FOREIGN.get(name)
    described: Any = {"class_path": section} if isinstance(section, str) else section
    if foreign is None or not isinstance(described, Mapping):
        return section
    path = described.get("class_path")
    if not isinstance(path, str) or "." not in path or _is_ours(path):
        return section
    try:
        kind = class_at(name, path)
    except ValueError:
        return section  # whoever parses says what is wrong
    if not issubclass(kind, foreign.base):
        return section
    arguments: Mapping[str, Any] = described.get("init_args") or {}
    settings: dict[str, Any] = {foreign.key: path, "arguments": dict(arguments)}
    for own in foreign.own[2:]:  # beside the class and its arguments
        if own in described:
            settings[own] = described[own]
    return {"class_path": _path(foreign), "init_args": settings}


def _path(foreign: _Foreign) -> str:
    return f"counterpoise.training.{foreign.wrapper.__name__}"


def _is_ours(path: str) -> bool:
    return path.startswith("counterpoise.training.")
