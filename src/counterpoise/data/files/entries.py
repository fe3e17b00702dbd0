"""Entries of dictionaries from a file, or an error that says what is there instead."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from counterpoise.data.files.cache import CorruptFileError


def entry(path: Path, content: object, *keys: Any) -> Any:
    """Return what a dictionary has under the first of some keys that it has.

    Args:
        path: The file it comes from, for the message.
        content: What should be a dictionary.
        keys: At least one.

    Raises:
        CorruptFileError: If it is none, or has none of them.

    Example:
        >>> entry(Path("x.pkl"), {"dev": 5}, "valid", "dev")
        5
    """
    if isinstance(content, Mapping):
        for key in keys:
            if key in content:
                return content[key]
        shown = ", ".join(map(repr, list(content)[:5])) or "nothing"
    else:
        shown = type(content).__name__
    raise CorruptFileError(
        f"`{path}` should hold a dictionary with {' or '.join(map(repr, keys))}; found {shown}. "
        "Get the file again."
    )
