"""Modules that a configuration names: looked into before they are executed.

A class path in a configuration is imported, and importing a module executes it. A path that leads
to no class, by a typing error or by malice, shall execute nothing.
"""

from __future__ import annotations

import ast
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from counterpoise.core.errors import suggestion


def check_class_paths(config: Any, where: str = "config") -> None:
    """Check every "class_path" in a configuration, at any depth.

    Args:
        config: Mappings, sequences and plain values.
        where: What it is called, for messages.

    Raises:
        ValueError: As :func:`check_class_path`.
    """
    if isinstance(config, Mapping):
        path = config.get("class_path")
        if isinstance(path, str):
            check_class_path(where, path)
        for name, value in config.items():
            check_class_paths(value, str(name) if where == "config" else where)
    elif isinstance(config, (list, tuple)):
        for value in config:
            check_class_paths(value, where)


def check_class_path(where: str, path: str) -> None:
    """Raise unless the module of a class path holds such a name; it is read, and not executed.

    Modules that are imported already are asked; so are those without a Python source, and those
    that make names as they run, by a ``*`` import or ``__getattr__``: of them it cannot be told
    beforehand.

    Args:
        where: What names the class, for the message.
        path: Such as "sensors.Weakest"; one without a dot names a class of this package.

    Raises:
        ValueError: If there is no such module, or the module no such name; the nearest is
            suggested.

    Example:
        >>> check_class_path("method", "fractions.Fractoin")
        Traceback (most recent call last):
        ...
        ValueError: `method` should be the path of a class; found 'fractions.Fractoin', but ...
    """
    module, _, name = path.rpartition(".")
    if not module or not all(map(str.isidentifier, path.split("."))):
        return
    if module in sys.modules:
        _raise_unless(hasattr(sys.modules[module], name), where, path, dir(sys.modules[module]))
        return
    spec = _spec(module)
    if spec is None:
        outer, _, inner = module.rpartition(".")
        if not (outer and _holds(outer, inner)):  # else a class within a class
            raise ValueError(
                f"`{where}` should be the path of a class; found {path!r}, but there is no module "
                f"{module!r}.{_nearest(module)} Install it, or run where it lies."
            )
        return
    if spec.origin is None or not spec.origin.endswith(".py"):
        return
    names = _names(Path(spec.origin))
    _raise_unless(names is None or name in names, where, path, names or ())


def _raise_unless(held: bool, where: str, path: str, names: Any) -> None:
    if not held:
        module, _, name = path.rpartition(".")
        raise ValueError(
            f"`{where}` should be the path of a class; found {path!r}, but {module!r} has no "
            f"{name!r}.{suggestion(name, names)}"
        )


def _spec(module: str) -> ModuleSpec | None:
    """Find a module as importing it would, without executing the packages above it."""
    spec, places = None, None
    for number in range(module.count(".") + 1):
        name = ".".join(module.split(".")[: number + 1])
        known = sys.modules.get(name)
        if known is not None and known.__spec__ is not None:
            spec = known.__spec__
        elif number == 0 or places is not None:
            # By its last part: of a namespace package below another the path would be looked up
            # in the parent, which is not imported.
            spec = PathFinder.find_spec(name.rpartition(".")[2], places)
        else:
            return None
        if spec is None:
            return None
        locations = spec.submodule_search_locations
        places = None if locations is None else list(locations)
    return spec


def _nearest(module: str) -> str:
    """Suggest a module that lies beside one that there is not, for its first name that leads on."""
    outer, _, inner = module.rpartition(".")
    spec = _spec(outer) if outer else None
    if outer and spec is None:
        return _nearest(outer)
    places = sys.path if spec is None else list(spec.submodule_search_locations or [])
    return suggestion(inner, [info.name for info in pkgutil.iter_modules(places)])


def _holds(module: str, name: str) -> bool:
    if module in sys.modules:
        return hasattr(sys.modules[module], name)
    spec = _spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return spec is not None
    names = _names(Path(spec.origin))
    return names is None or name in names


def _names(source: Path) -> set[str] | None:
    """Names that a module binds; None if that shows only when it runs, or it cannot be parsed."""
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError, OSError):  # importing says what is wrong
        return None
    names: set[str] = set()
    for name in _bound(tree):
        if name in ("*", "__getattr__"):
            return None
        names.add(name)
    return names


def _bound(tree: ast.Module) -> Iterator[str]:
    """Yield what is bound at the top of a module, in its branches too."""
    pending: list[ast.AST] = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        else:
            pending += ast.iter_child_nodes(node)
