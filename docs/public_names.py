"""The public names of the package, read from ``__all__``: what the API reference has to show.

The configuration of the documentation and the test that nothing is forgotten both use this.
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["context", "docstring", "homes", "index_page", "is_keyed", "modules", "names"]

ROOT = "counterpoise"


def modules() -> list[str]:
    """List the public modules: the package, the modules it exports, then its subpackages.

    A subpackage is public if it exports a name that no package above it does.
    """
    package = import_module(ROOT)
    values = {name: getattr(package, name) for name in package.__all__}
    exported = [f"{ROOT}.{name}" for name, value in values.items() if inspect.ismodule(value)]
    return [ROOT, *exported, *_subpackages(ROOT)]


def _subpackages(above: str) -> Iterator[str]:
    package = import_module(above)
    for found in pkgutil.iter_modules(package.__path__, f"{above}."):
        if found.ispkg and not found.name.rpartition(".")[2].startswith("_"):
            exports = set(getattr(import_module(found.name), "__all__", ()))
            if exports - set(getattr(package, "__all__", ())):
                yield found.name
            yield from _subpackages(found.name)


def names(module: str) -> list[str]:
    """List the public names of a public module, modules first left out: they are listed apart."""
    found = import_module(module)
    return [name for name in found.__all__ if not inspect.ismodule(getattr(found, name))]


def homes() -> dict[str, dict[str, str]]:
    """Map each public module to its names, and each name to where it has its page.

    A class or function that several modules export has one page, under the first of them.
    """
    first: dict[int, str] = {}
    found: dict[str, dict[str, str]] = {}
    for module in modules():
        found[module] = {}
        for name in names(module):
            value = getattr(import_module(module), name)
            here = f"{module}.{name}"
            found[module][name] = first.setdefault(id(value), here) if is_keyed(value) else here
    return found


def context() -> dict[str, Any]:
    """What the templates of pages need: for each module, its own names, other names, modules."""
    found = homes()
    own = {
        module: [name for name, home in pages.items() if home == f"{module}.{name}"]
        for module, pages in found.items()
    }
    elsewhere = {
        module: {name: home for name, home in pages.items() if name not in own[module]}
        for module, pages in found.items()
    }
    return {
        "own": own,
        "elsewhere": elsewhere,
        "modules": {ROOT: [module.removeprefix(f"{ROOT}.") for module in [*found][1:]]},
    }


def index_page() -> str:
    """Return a page of all public names, module by module, each with the first line about it."""
    parts = ["All names", "=========", "", "Everything that can be imported, on one page."]
    for module, pages in homes().items():
        own = sorted(
            (name for name, home in pages.items() if home == f"{module}.{name}"), key=str.lower
        )
        if own:
            entries = [f"   {name}" for name in own]
            # What the first lines refer to is seen from the module.
            seen = [f".. py:currentmodule:: {module}", ""]
            table = [*seen, ".. autosummary::", "   :nosignatures:", "", *entries]
            parts += ["", module, "-" * len(module), "", *table]
    return "\n".join([*parts, ""])


def is_keyed(value: Any) -> bool:
    """Whether a value has an identity of its own: equal constants may be one object."""
    return inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)


def docstring(module: str, name: str) -> str:
    """Return what documents a public name: its docstring or, for a constant, the one below it."""
    value = getattr(import_module(module), name)
    if is_keyed(value):
        written = value.__doc__ or ""
        # Data classes and named tuples without a docstring get their signature for one.
        return "" if written.startswith(f"{value.__name__}(") else written
    return inspect.cleandoc(next(_below(module, name), ""))


def _below(module: str, name: str) -> Iterator[str]:
    """Yield the string below the assignment of a constant, through the modules it came by."""
    path = inspect.getsourcefile(import_module(module))
    assert path is not None
    body = ast.parse(Path(path).read_text(encoding="utf-8")).body
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(statement, ast.ImportFrom) and statement.module:
            for alias in statement.names:
                if (alias.asname or alias.name) == name and statement.module.startswith(ROOT):
                    yield from _below(statement.module, alias.name)
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.AnnAssign):
            targets = [statement.target]
        named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if named and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            yield str(following.value.value)
