"""Packaged configurations, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

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
    path = find(name)
    try:
        content = load(path)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(
            f"`config` should be a YAML file; found {str(path)!r}, which is not: {error}. "
            "Correct it there."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"`config` should hold settings by name; found a {type(content).__name__} in "
            f"{str(path)!r}. Write one 'name: value' a line."
        )
    return content
