"""Grids from YAML files."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

from counterpoise.core.errors import check_choice, check_path
from counterpoise.experiments.compare.grid import Grid
from counterpoise.training.config.loader import load


def read_grid(path: str | os.PathLike[str]) -> Grid:
    """Read a grid from a YAML file.

    Args:
        path: The file, which holds the arguments of :class:`Grid`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no YAML mapping, holds a key twice, or does not describe a grid.
        TypeError: As :class:`Grid`.
    """
    check_path("path", path, optional=False)
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"`grid` should be a YAML file; found no file {str(path)!r}. Check the path."
        )
    content = load(path, "grid")
    known = [field.name for field in fields(Grid)]
    for key in content:
        check_choice("grid", str(key), known)
    for key in ("data", "methods"):
        if key not in content:
            raise ValueError(
                f"`grid` should hold {key!r}; found {', '.join(map(repr, content)) or 'nothing'} "
                f"in {str(path)!r}. Name at least one of them there."
            )
    return Grid(**content)
