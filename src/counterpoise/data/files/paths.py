"""Paths in configurations that shall be the same on every machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


def expand(option: str, path: str | Path) -> Path:
    """Put in environment variables, ``$NAME`` or ``${NAME}``, and the user's home for ``~``.

    Args:
        option: What the path is given as, for the message.
        path: The path.

    Raises:
        ValueError: If a variable is not set.

    Example:
        >>> expand("root", "data/$") == Path("data/$")
        True
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in os.environ:
            raise ValueError(
                f"`{option}` should name environment variables that are set; found ${name} in "
                f"{str(path)!r}, which is not. Set it to the folder of the data: export {name}=..."
            )
        return os.environ[name]

    return Path(_VARIABLE.sub(value, str(path))).expanduser()
