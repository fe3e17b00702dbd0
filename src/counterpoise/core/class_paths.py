"""The path that names a class in files on disk: a public one, which outlives moves of modules."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType


def class_path(kind: type) -> str:
    """Map a class to the shortest path under which its package exports it.

    Recipes, records and the keys of runs hold this path, so that they outlive a move of the module
    that defines the class. A package exports what its ``__all__`` lists; asked are the top package,
    the modules that it exports, and every package on the way down to the class.

    Args:
        kind: Any class, of this package or of a user's own.

    Returns:
        The path; where no package exports the class, that of the module that defines it.

    Example:
        >>> from counterpoise.core.references import Fixed
        >>> from counterpoise.methods import AGM
        >>> class_path(AGM), class_path(Fixed)
        ('counterpoise.AGM', 'counterpoise.references.Fixed')
    """
    for path, module in _public_modules(kind.__module__):
        if _exports(module, kind):
            return f"{path}.{kind.__qualname__}"
    return f"{kind.__module__}.{kind.__qualname__}"


def _public_modules(path: str) -> Iterator[tuple[str, ModuleType]]:
    """Yield the packages above a module, from the top down, with what the top one exports."""
    parts = path.split(".")
    for depth in range(1, len(parts)):
        package = ".".join(parts[:depth])
        module = sys.modules.get(package)
        if module is None:
            continue
        yield package, module
        if depth == 1:
            for name in getattr(module, "__all__", ()):
                value = vars(module).get(name)  # what is imported only when asked for stays so
                if isinstance(value, ModuleType):
                    yield f"{package}.{name}", value


def _exports(module: ModuleType, kind: type) -> bool:
    name = kind.__qualname__
    return name in getattr(module, "__all__", ()) and getattr(module, name, None) is kind
