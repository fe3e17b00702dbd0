"""An error in one line: what is wrong and, if it arose in the user's code, where."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

from counterpoise.core.errors import essence, is_ours

TRACEBACK = "COUNTERPOISE_TRACEBACK"
"""The environment variable with which errors are raised instead of told."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in a command that says how to go on."""


def users_place(error: BaseException) -> str | None:
    """Return the place in a file of the user's own where an error arose, the innermost one.

    Returns:
        "file.py, line 3, in forward"; None if no code of the user's took part.
    """
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<") and not _is_installed(Path(frame.filename))
    ]
    if not own:
        return None
    return f"{_shown(Path(own[-1].filename))}, line {own[-1].lineno}, in {own[-1].name}"


def _is_installed(path: Path) -> bool:
    """Whether a file belongs to this package, another that is installed, or Python."""
    roots = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    folders = [Path(__file__).parents[1], *map(Path, roots)]
    resolved = path.resolve()
    return any(resolved.is_relative_to(folder.resolve()) for folder in folders)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def in_one_line(error: BaseException) -> str:
    """Say what is wrong in one line, without what a parser says around it.

    Example:
        >>> in_one_line(ValueError("`seed` should be at least 0; found -1. Pass 0 or more."))
        '`seed` should be at least 0; found -1. Pass 0 or more.'
    """
    text = essence(str(error))
    place = None if is_ours(text) else users_place(error)
    if place is not None:
        return (
            f"{type(error).__name__}: {text or 'without a message'} ({place}; "
            f"{TRACEBACK}=1 shows the whole traceback)"
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        return (
            f"The command line needs the package {error.name.partition('.')[0]!r}; found it "
            "missing. Run: pip install 'counterpoise[train]'."
        )
    return text
