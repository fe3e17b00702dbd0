"""A full disk ends a command, which can go on later: no run is to blame for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from counterpoise.core.files import says_full
from counterpoise.data.files.folders import DiskFullError


def lacks_room(error: BaseException) -> bool:
    """Return whether an error, or one that led to it, says that a disk or a quota is full.

    Example:
        >>> import errno
        >>> lacks_room(OSError(errno.ENOSPC, "No space left on device")), lacks_room(KeyError())
        (True, False)
    """
    return _first(error) is not None


@contextmanager
def ending_when_full(path: Path, name: str = "runs") -> Iterator[None]:
    """Let an error that says that a disk is full say what to do.

    Args:
        path: The folder that is written to.
        name: The argument that it was given by.

    Raises:
        DiskFullError: In its place, with nothing but a message, so that it can come from another
            process.

    Example:
        >>> import errno
        >>> with ending_when_full(Path("out")):
        ...     raise OSError(errno.ENOSPC, "No space left on device")
        Traceback (most recent call last):
        ...
        counterpoise.data.files.folders.DiskFullError: `runs` should have room for what is ...
    """
    try:
        yield
    except Exception as error:
        first = _first(error)
        if first is None:
            raise
        if isinstance(first, DiskFullError):  # it says so itself
            raise DiskFullError(str(first)) from error
        raise DiskFullError(
            f"`{name}` should have room for what is written; found at {str(path)!r}: {first}. Free "
            "some room, or raise the limit, and start again: it goes on where it was."
        ) from error


def _first(error: BaseException | None) -> OSError | None:
    """The error of a full disk among an error and those that led to it, if there is one."""
    seen: set[int] = set()  # an error may have been raised from itself
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, DiskFullError) or (isinstance(error, OSError) and says_full(error)):
            return error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None
