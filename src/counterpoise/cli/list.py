"""``counterpoise list methods|data|recipes|fusions``: what there is, a line each."""

from __future__ import annotations

import inspect
import shutil
import textwrap
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from counterpoise.core.errors import suggestion

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser, Namespace


def _methods() -> dict[str, str]:
    import counterpoise as cp

    kinds = [getattr(cp, name) for name in cp.__all__]
    classes = [kind for kind in kinds if inspect.isclass(kind) and issubclass(kind, cp.Method)]
    # Those that wrap other methods are no methods by themselves.
    own = [kind for kind in classes if kind not in (cp.Method, cp.Chain, cp.Windowed)]
    return {kind.__name__: _first_sentence(kind) for kind in own}


def _data() -> dict[str, str]:
    from counterpoise.data import SOURCES

    return {name: _first_sentence(source) for name, source in sorted(SOURCES.items())}


def _recipes() -> dict[str, str]:
    from counterpoise.training.config.packaged import names, read

    return {name: _of_recipe(read(name)) for name in names()}


def _fusions() -> dict[str, str]:
    from counterpoise.models import FUSIONS, fusions

    classes = {name: kind for name, kind in vars(fusions).items() if isinstance(kind, type)}
    by_name = {name.casefold(): kind for name, kind in classes.items()}
    described = {}
    for name in FUSIONS:
        kind = by_name.get(name.replace("_", ""))
        described[name] = _first_sentence(kind) if kind else ""
    return described


KINDS: Mapping[str, Callable[[], dict[str, str]]] = {
    "methods": _methods,
    "data": _data,
    "recipes": _recipes,
    "fusions": _fusions,
}
"""From what can be listed to a function that returns names and what each is."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add what to list."""
    parser.add_argument("what", type=str, metavar="|".join(KINDS), help="What to list.")


def run(arguments: Namespace) -> None:
    """Print a line each."""
    print(listed(arguments.what))


def listed(what: str, width: int | None = None) -> str:
    """Return a line for each method, data set, recipe or fusion that there is.

    Args:
        what: One of :data:`KINDS`.
        width: Of a line, in characters; longer ones are wrapped. Default: that of the terminal.

    Raises:
        ValueError: If there is no such list.

    Example:
        >>> print(listed("recipes").splitlines()[0])
        av-mnist-agm          as av-mnist-joint, AGM
    """
    if what not in KINDS:
        raise ValueError(
            f"`what` should be one of {', '.join(KINDS)}; found {what!r}." + suggestion(what, KINDS)
        )
    entries = KINDS[what]()
    column = max(map(len, entries)) + 2
    columns = width or shutil.get_terminal_size().columns
    return "\n".join(
        textwrap.fill(
            text,
            max(columns, column + 20),
            initial_indent=f"{name:{column}}",
            subsequent_indent=" " * column,
        )
        for name, text in entries.items()
    )


def _first_sentence(documented: Any) -> str:
    text = (inspect.getdoc(documented) or "").replace("``", "")
    paragraph = " ".join(text.partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].rstrip(".") + "." if paragraph else ""


def _of_recipe(content: Mapping[str, Any]) -> str:
    base = content.get("base")
    parts = [] if base is None else [f"as {base}"]
    for name in ("data", "method"):
        value = content.get(name)
        if value is not None:
            kind = value if isinstance(value, str) else str(value.get("class_path", ""))
            parts.append(kind.rpartition(".")[2])
    return ", ".join(part for part in parts if part)
