"""How a configuration comes together: defaults, then files, then options of the command line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from inspect import isabstract
from typing import Any

from counterpoise.core.class_paths import class_path
from counterpoise.core.errors import check_choice
from counterpoise.training.config.class_modules import check_class_path, check_class_paths
from counterpoise.training.config.foreign import adopted, adopted_arguments
from counterpoise.training.config.packaged import read


def resolve(
    arguments: Sequence[str], defaults: Mapping[str, Any], bases: Mapping[str, type]
) -> tuple[dict[str, Any], list[str]]:
    """Take the ``--config`` out of the arguments and lay what they say over the defaults.

    Args:
        arguments: Options as typed.
        defaults: What holds under every file.
        bases: For sections that name a class, what it has to derive from.

    Returns:
        The configuration below the options, and the other options.

    Raises:
        ValueError: If a file cannot be read or a class that is named is not known.
    """
    config, rest = dict(defaults), list(arguments)
    while (index := _first(rest, "--config")) is not None:
        _, equals, value = rest.pop(index).partition("=")
        if not equals:
            if index == len(rest):
                raise ValueError("`--config` should be followed by a file or a recipe; found none.")
            value = rest.pop(index)
        config = merge(config, layered(value))
    _check_modules(config, rest, bases)  # before anything imports them
    config, rest = adopted_arguments(adopted(config), rest)
    _check_names(config, rest, bases)
    return without_overridden(config, rest), rest


def layered(name: str, above: Sequence[str] = ()) -> dict[str, Any]:
    """Read a configuration, laid over the one that its ``base`` names, and so on down.

    Args:
        name: A YAML file, or the name of a packaged recipe.
        above: The files that led here.

    Raises:
        ValueError: If a file cannot be read, or is a base of its own.

    Example:
        >>> recipe = layered("digits-mlb")
        >>> recipe["method"]["class_path"], recipe["data"]["class_path"]
        ('MLB', 'Digits')
    """
    if name in above:
        raise ValueError(
            f"`base` should lead to a file without one; found {' -> '.join([*above, name])}. "
            "Remove it from one of them."
        )
    content = read(name)
    base = content.pop("base", None)
    return content if base is None else merge(layered(str(base), [*above, name]), content)


def _first(arguments: Sequence[str], option: str) -> int | None:
    return next((i for i, a in enumerate(arguments) if a.partition("=")[0] == option), None)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a configuration over another: settings of one class never pass on to another class.

    A section that names a class is a mapping with "class_path" and "init_args", or the name
    alone. Where both name the same class, or none, their settings are merged; else the one on
    top replaces the other whole.

    Example:
        >>> base = {"seed": 1, "method": {"class_path": "AGM", "init_args": {"alpha": 2.5}}}
        >>> merge(base, {"method": "Joint"})
        {'seed': 1, 'method': {'class_path': 'Joint'}}
        >>> merge(base, {"method": {"class_path": "AGM", "init_args": {"clamp": 1.0}}})["method"]
        {'class_path': 'AGM', 'init_args': {'alpha': 2.5, 'clamp': 1.0}}
    """
    merged = dict(base)
    for key, new in over.items():
        old = merged.get(key)
        if isinstance(new, str) and _class_of(old):
            new = {"class_path": new}
        both = isinstance(old, Mapping) and isinstance(new, Mapping)
        same = both and _same_class(_class_of(old), _class_of(new))
        merged[key] = merge(old, new) if same else new  # type: ignore[arg-type]
    return merged


def without_overridden(config: Mapping[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    """Drop the sections for which the arguments ``--section NAME`` name another class.

    Example:
        >>> config = {"method": {"class_path": "AGM", "init_args": {"alpha": 2.5}}, "seed": 1}
        >>> without_overridden(config, ["--method", "OGM"])
        {'seed': 1}
        >>> without_overridden(config, ["--method=AGM"]) == config
        True
    """
    kept = dict(config)
    for name, value in _pairs(arguments):
        section, _, inner = name.partition(".")
        described = kept.get(section)
        if not isinstance(described, Mapping):
            continue
        if inner and "init_args" in described:
            below = without_overridden(described["init_args"], [f"--{inner}={value}"])
            kept[section] = {**described, "init_args": below}
        elif not inner and _class_of(described) and not _same_class(_class_of(described), value):
            del kept[section]
    return kept


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each option's name without dashes and its value; "" where none follows."""
    for index, argument in enumerate(arguments):
        if argument.startswith("--"):
            name, equals, value = argument.removeprefix("--").partition("=")
            following = arguments[index + 1] if index + 1 < len(arguments) else ""
            yield name, value if equals else following


def _check_modules(
    config: Mapping[str, Any], arguments: Sequence[str], bases: Mapping[str, type]
) -> None:
    """Raise where a class path leads to no class, without executing the module."""
    check_class_paths(config)
    named = {**config, **dict(_pairs(arguments))}
    for key in bases:
        if isinstance(named.get(key), str):
            check_class_path(key, named[key])


def _check_names(
    config: Mapping[str, Any], arguments: Sequence[str], bases: Mapping[str, type]
) -> None:
    """Raise, with the nearest name suggested, where a class is named that there is not.

    A path with dots leads to a class of the user's own, which is imported later.
    """
    named = {
        key: section.get("class_path") if isinstance(section, Mapping) else section
        for key, section in config.items()
    }
    named.update(_pairs(arguments))
    for key, base in bases.items():
        name = named.get(key)
        if isinstance(name, str) and name.isidentifier() and name not in ("null", "None"):
            check_choice(key, name, class_names(base))


def class_names(base: type) -> list[str]:
    """Return the names of the classes below one that can be made, sorted.

    Without private ones, and of this package those only that it exports: not what others are made
    from.

    Example:
        >>> from counterpoise.methods import Method
        >>> "AGM" in class_names(Method), "Method" in class_names(Method)
        (True, False)
    """
    names: set[str] = set()
    pending: list[type] = base.__subclasses__()
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        inner = (
            _is_ours(kind.__module__) and class_path(kind) == f"{kind.__module__}.{kind.__name__}"
        )
        if not (isabstract(kind) or kind.__name__.startswith("_") or inner):
            names.add(kind.__name__)
    return sorted(names)


def _class_of(section: Any) -> str | None:
    """The path of the class that a section is for."""
    path = section.get("class_path") if isinstance(section, Mapping) else None
    return None if path is None else str(path)


def _same_class(one: str | None, other: str | None) -> bool:
    """Return whether paths lead to one class; one without dots leads to a class of this package."""
    if one is None or other is None:
        return one is other
    names = [path.rpartition(".")[2] if _is_ours(path) else path for path in (one, other)]
    return names[0] == names[1]


def _is_ours(path: str) -> bool:
    return "." not in path or path.startswith("counterpoise.")
