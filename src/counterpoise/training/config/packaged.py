"""Packaged configurations, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from counterpoise.core.errors import suggestion
from counterpoise.training.config.loader import load

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Return the names of the packaged recipes."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def find(name: str) -> Path:
    """Map a path, or the name of a packaged recipe, to the file.

    Raises:
        ValueError: If it is neither; the nearest recipe is suggested.
    """
    path = Path(name)
    if path.is_file():
        return path
    if name in names():
        return _FOLDER / f"{name}.yaml"
    raise ValueError(
        f"`config` should be a file or a packaged recipe ({', '.join(names())}); found {name!r}."
        + suggestion(name, names())
    )


def read(name: str) -> dict[str, Any]:
    """Read the configuration that :func:`find` finds.

    Raises:
        ValueError: If it is no YAML mapping.
    """
    return load(find(name), "config")
