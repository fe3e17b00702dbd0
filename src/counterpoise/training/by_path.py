"""Classes from outside this package, named in a recipe by their import path."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from counterpoise.core.class_paths import class_path
from counterpoise.core.errors import described, suggestion
from counterpoise.training.config.class_modules import check_class_path

Described = Mapping[str, Any]
"""An object as a recipe holds it: "class_path", and "init_args" where it takes any."""


def class_at(name: str, path: str | type, base: type | None = None) -> type:
    """Return the class at a path, as ``package.module.Class``; a class as it is.

    Args:
        name: What the path is called in messages.
        path: Where it lies.
        base: What it has to derive from.

    Raises:
        ValueError: If there is no such module or class, or it does not derive from ``base``.

    Example:
        >>> class_at("optimizer", "torch.optim.Adagrad").__name__
        'Adagrad'
    """
    kind = _look_up(name, path) if isinstance(path, str) else path
    if not isinstance(kind, type) or (base is not None and not issubclass(kind, base)):
        rule = "a class" if base is None else f"a class derived from {base.__qualname__}"
        raise ValueError(
            f"`{name}` should be {rule}; found {described(path)}, which is not. Name another class."
        )
    return kind


def _look_up(name: str, path: str) -> Any:
    module_path, _, last = path.rpartition(".")
    if not module_path:
        raise ValueError(
            f"`{name}` should be the path of a class, as package.module.Class; found {path!r}. "
            "Write the module before the name."
        )
    check_class_path(name, path)
    module = import_module(module_path)
    if not hasattr(module, last):
        raise ValueError(
            f"`{name}` should be the path of a class; found {path!r}, but {module_path!r} has no "
            f"{last!r}.{suggestion(last, dir(module))}"
        )
    return getattr(module, last)


def path_of(path: str | type) -> str:
    """Return the path under which a class is found again; a path as it is.

    Example:
        >>> import collections
        >>> path_of(collections.OrderedDict)
        'collections.OrderedDict'
    """
    return path if isinstance(path, str) else class_path(path)


def made(name: str, given: Described, base: type | None = None) -> Any:
    """Return the object that a mapping describes; descriptions among its arguments too.

    Args:
        name: What it is called in messages.
        given: With "class_path", and maybe "init_args".
        base: What its class has to derive from.

    Raises:
        ValueError: If there is no such class, or the mapping is no description.

    Example:
        >>> made("part", {"class_path": "torch.nn.Linear", "init_args": {"in_features": 3,
        ...     "out_features": 2}})
        Linear(in_features=3, out_features=2, bias=True)
    """
    if not isinstance(given, Mapping) or not {"class_path"} <= set(given) <= {
        "class_path",
        "init_args",
    }:
        raise ValueError(
            f"`{name}` should hold 'class_path' and, where the class takes any, 'init_args'; found "
            f"{described(given)}. Write class_path: package.module.Class."
        )
    kind = class_at(name, given["class_path"], base)
    arguments = given.get("init_args") or {}
    return kind(**{key: _argument(f"{name}.{key}", value) for key, value in arguments.items()})


def _argument(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        if "class_path" in value:
            return made(name, value)
        return {key: _argument(f"{name}.{key}", entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_argument(f"{name}[{index}]", entry) for index, entry in enumerate(value)]
    return value
