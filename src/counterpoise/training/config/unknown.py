"""The unknown name in a configuration that was refused, and the nearest known one."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any

from counterpoise.core.errors import suggestion


def unknown_name(config: Mapping[str, Any], kinds: Mapping[str, type]) -> str | None:
    """Look in a configuration that was refused for a setting that there is not.

    Paths of classes lead somewhere, as far as that can be told before their modules are executed:
    :func:`~counterpoise.training.config.class_modules.check_class_paths` has looked.

    Args:
        config: Sections by name: settings, or a class as its path, or as a mapping with
            "class_path" and "init_args".
        kinds: For each section what its class derives from, or the dataclass that it sets.

    Returns:
        What to say of the first such name; None if there is none, so that something else is
        wrong.

    Example:
        >>> from counterpoise.methods import Method
        >>> config = {"method": {"class_path": "AGM", "init_args": {"alfa": 1.0}}}
        >>> unknown_name(config, {"method": Method})[-35:]
        "found 'alfa'. Did you mean 'alpha'?"
    """
    texts = (_in_section(name, kind, config.get(name)) for name, kind in kinds.items())
    return next((text for text in texts if text is not None), None)


def _in_section(where: str, base: type | None, section: Any) -> str | None:
    section = {"class_path": section} if isinstance(section, str) else section
    if not isinstance(section, Mapping):
        return None
    kind, settings = base if is_dataclass(base) else None, section
    if "class_path" in section:
        kind, settings = _class(base, str(section["class_path"])), section.get("init_args") or {}
    if not isinstance(kind, type) or not isinstance(settings, Mapping):
        return None
    known = arguments_of(kind)
    for name, value in settings.items():
        if name not in known:
            takes = f"one of {', '.join(map(repr, known))}" if known else "none at all"
            return (
                f"`{where}` should have settings of {kind.__name__}, {takes}; found {name!r}."
                + suggestion(str(name), known)
            )
        within = isinstance(value, Mapping) and "class_path" in value
        text = _in_section(f"{where}.{name}", None, value) if within else None
        if text is not None:
            return text
    return None


def class_of(base: type | None, section: Any) -> type | None:
    """Return the class that a section of a configuration names; None where that is not known."""
    path = section.get("class_path") if isinstance(section, Mapping) else section
    return _class(base, path) if isinstance(path, str) else None


def _class(base: type | None, path: str) -> type | None:
    """The class with this path; None if that cannot be told, as of a module that cannot run."""
    if "." not in path:
        return None if base is None else _subclass(base, path)
    module, _, name = path.rpartition(".")
    try:
        member = getattr(import_module(module), name, None)
    except Exception:  # whatever a module of the caller's own raises: the parser tells it
        return None
    return member if isinstance(member, type) else None


def _subclass(base: type, name: str) -> type | None:
    pending = [base]
    while pending:
        kind = pending.pop()
        if kind.__name__ == name:
            return kind
        pending += kind.__subclasses__()
    return None


def arguments_of(kind: type) -> list[str]:
    """Return the names of all arguments of a class, those that pass on to parents included."""
    known: list[str] = []
    for ancestor in kind.__mro__:
        if "__init__" not in vars(ancestor) or ancestor is object:
            continue
        given = list(inspect.signature(vars(ancestor)["__init__"]).parameters.values())[1:]
        known += [a.name for a in given if a.kind not in (a.VAR_POSITIONAL, a.VAR_KEYWORD)]
        if all(a.kind is not a.VAR_KEYWORD for a in given):
            break
    return list(dict.fromkeys(known))
