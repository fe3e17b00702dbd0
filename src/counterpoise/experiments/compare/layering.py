"""How the settings of a cell come together: layers of a grid, one over the other, to a recipe.

A layer sets fields of a recipe, each either as a whole, as in a configuration file of
``counterpoise train``, or by a path with dots to one setting: ``method.alpha: 0.5``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from counterpoise.core.errors import check_choice, essence
from counterpoise.training import Recipe, TrainerOptions
from counterpoise.training.config.class_modules import check_class_paths
from counterpoise.training.config.foreign import adopted
from counterpoise.training.config.layers import class_names, merge
from counterpoise.training.config.reading import BASES, DEFAULTS
from counterpoise.training.config.unknown import unknown_name

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

Layer = Mapping[str, Any]

FIELDS = tuple(field.name for field in fields(Recipe) if field.name not in ("seed", "name"))
"""What layers may set: all fields of a recipe but those that the grid sets itself."""


def starting_point() -> dict[str, Any]:
    """Return the layer below all others: the defaults of a recipe, on one thread.

    One thread a process, so that cells beside each other do not slow each other down, and that
    results do not depend on how many there are.
    """
    return {**deepcopy(DEFAULTS), "trainer": {"num_threads": 1}}


def check_layer(where: str, layer: Layer, allowed: Collection[str] = FIELDS) -> None:
    """Raise, with the nearest name suggested, unless a layer sets what it may.

    Args:
        where: What the layer is called, for errors.
        layer: Settings by field or by dotted path.
        allowed: Fields that may be set.

    Raises:
        ValueError: If another field is set, or a class is named that there is not.
        TypeError: If the layer is no mapping.
    """
    if not isinstance(layer, Mapping):
        raise TypeError(
            f"`{where}` should be a mapping of settings; found {layer!r}. "
            "Write one 'name: value' a line below it."
        )
    for key, value in layer.items():
        section, _, inner = str(key).partition(".")
        check_choice(where, section, allowed)
        if key == "trainer" and value is None:
            raise ValueError(
                f"`{where}.trainer` should hold settings; found nothing. Write them below it, or "
                "leave it out."
            )
        if not inner and section in BASES:
            name = value.get("class_path") if isinstance(value, Mapping) else value
            # A path with dots leads to a class of the user's own, which is imported later.
            if isinstance(name, str) and name.isidentifier():
                check_choice(f"{where}.{section}", name, class_names(BASES[section]))


def laid_over(config: Layer, *layers: Layer) -> dict[str, Any]:
    """Lay layers over a configuration; neither is changed.

    In each layer whole fields come first, as :func:`counterpoise.training.config.layers.merge`
    says, and then dotted paths, which lead through the arguments of classes.

    Example:
        >>> laid_over({"method": "AGM"}, {"method.alpha": 0.5, "trainer.max_epochs": 3})
        {'method': {'class_path': 'AGM', 'init_args': {'alpha': 0.5}}, 'trainer': {'max_epochs': 3}}
    """
    result = deepcopy(dict(config))
    for layer in layers:
        result = merge(result, deepcopy({k: v for k, v in layer.items() if "." not in k}))
        for path, value in layer.items():
            if "." in path:
                _set(result, path.split("."), deepcopy(value))
    return result


def _set(config: dict[str, Any], path: list[str], value: Any) -> None:
    first, *rest = path
    if not rest:
        config[first] = value
        return
    inner = config.get(first)
    if isinstance(inner, str):
        inner = {"class_path": inner}
    inner = {} if inner is None else inner
    if not isinstance(inner, dict):
        raise ValueError(
            f"`{first}` should hold settings for {'.'.join(rest)!r} to be one; found {inner!r}. "
            "Correct the path, or leave the value out."
        )
    config[first] = inner
    if "class_path" in inner and rest[0] != "init_args":
        inner = inner.setdefault("init_args", {})
    _set(inner, rest, value)


def compose(config: Layer, where: str) -> Recipe:
    """Make the recipe that a configuration describes.

    Args:
        config: All fields that differ from the defaults.
        where: Which part of the grid it comes from, for errors.

    Raises:
        ValueError: If a setting is not known, of a wrong type or out of range.
    """
    from jsonargparse import ArgumentError

    parser = _parser()
    try:  # before anything imports what is named
        check_class_paths({n: {"class_path": v} if n in BASES else v for n, v in config.items()})
        check_class_paths(config)
    except ValueError as error:
        raise ValueError(f"{error} (At {where} in the grid.)") from error
    try:
        return Recipe(**vars(parser.instantiate(parser.parse_object(adopted(config)))))
    except (ArgumentError, ValueError, TypeError) as error:
        reason = unknown_name(config, {**BASES, "trainer": TrainerOptions}) or essence(str(error))
        raise ValueError(f"{reason} (At {where} in the grid.)") from error


@cache
def _parser() -> ArgumentParser:
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Recipe)
    return parser
