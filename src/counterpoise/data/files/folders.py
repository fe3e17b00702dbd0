"""Folders that appear under their name only when they are complete."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from counterpoise.core.files import says_full

_ELSEWHERE = "choose another folder; COUNTERPOISE_CACHE moves the cache."


class DiskFullError(OSError):
    """There is no room for what should be written."""


@contextmanager
def explaining_full_disk(what: str, folder: Path, num_bytes: int = 0) -> Iterator[None]:
    """Let the system's error when there is no room say what is lacking, and what to do.

    Args:
        what: What is written, as the caller knows it.
        folder: Where, once what was begun is removed: an existing folder.
        num_bytes: How much room it needs. Default: not known.

    Raises:
        DiskFullError: If the disk or a quota is full, or a file would be larger than it may be.

    Example:
        >>> with explaining_full_disk("output", Path()):
        ...     raise OSError(errno.EFBIG, "File too large")
        Traceback (most recent call last):
        ...
        counterpoise.data.files.folders.DiskFullError: `output` should hold files as large as ...
    """
    try:
        yield
    except OSError as error:
        if not says_full(error):
            raise
        if error.errno == errno.EFBIG:
            message = (
                f"`{what}` should hold files as large as they must be; found a limit to the size "
                f"of a file at {folder}, of the shell (ulimit -f) or of the disk's format. "
                f"What was begun is removed. Raise the limit, or {_ELSEWHERE}"
            )
        else:
            full = "disk" if error.errno == errno.ENOSPC else "user's quota of the disk"
            message = (
                f"`{what}` should have {_room(num_bytes)}; found the {full} full at {folder}. "
                f"What was begun is removed, {_free(folder)} now. Free some room, or {_ELSEWHERE}"
            )
        raise DiskFullError(message) from error


def _room(num_bytes: int) -> str:
    return f"room for {num_bytes / 1e6:,.1f} MB" if num_bytes else "room"


def _free(folder: Path) -> str:
    return f"{shutil.disk_usage(folder).free / 1e6:,.1f} MB are free"


@contextmanager
def new_folder(output: str | Path, num_bytes: int = 0, *, what: str = "output") -> Iterator[Path]:
    """Yield a folder to fill, which takes its name if all goes well and vanishes otherwise.

    The folder to fill lies beside ``output``, so that renaming it is one step. One process at a
    time fills it; what a killed one left behind is removed by the next.

    Args:
        output: The folder's name in the end: new, or an empty folder. Of a link, where it leads.
        num_bytes: How much room it will need, checked before anything is done. Default: not known.
        what: What it is, as the caller knows it. Default: the option ``output``.

    Raises:
        ValueError: If ``output`` holds something, or another process is filling it.
        OSError: If it is a file, or cannot be written to.
        DiskFullError: If there is not enough room, before or while it is filled.

    Example:
        >>> import tempfile
        >>> output = Path(tempfile.mkdtemp()) / "made"
        >>> with new_folder(output) as folder:
        ...     _ = (folder / "a.txt").write_text("all of it")
        ...     output.exists()
        False
        >>> [path.name for path in output.iterdir()]
        ['a.txt']
    """
    output = _resolve(output)
    partial = output.with_name(f".{output.name}.partial")
    make_folder(what, output.parent)
    with _explaining_refusal(what, partial):
        partial.mkdir(exist_ok=True)
    with explaining_full_disk(what, output.parent, num_bytes), _sole(partial, output):
        try:
            check_new(output)
            _check_room(what, output.parent, num_bytes)
            for path in partial.iterdir():  # what a killed process left
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            yield partial
            _sync(partial)
            if output.exists():
                output.rmdir()  # empty: not every system renames onto a folder
            partial.rename(output)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


@contextmanager
def _sole(partial: Path, output: Path) -> Iterator[None]:
    """Hold a lock on a folder, which the system frees even if the process dies."""
    try:
        import fcntl
    except ImportError:  # there are no such locks on Windows
        yield
        return
    descriptor = os.open(partial, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.stat()  # missing if another process finished in this very moment
        except (BlockingIOError, FileNotFoundError) as error:
            raise ValueError(
                f"`output` should be filled by one process at a time; found another at work on "
                f"{output}. Wait for it, or choose another folder."
            ) from error
        yield
    finally:
        os.close(descriptor)


def _resolve(output: str | Path) -> Path:
    # Not Path.resolve, which ends with a RuntimeError where links go round.
    return Path(os.path.realpath(Path(output).expanduser()))


def check_new(output: str | Path) -> None:
    """Raise unless a folder can be made at a path: there is nothing yet, or an empty folder.

    Raises:
        ValueError: If it is a folder that holds something, or where a disk is mounted.
        OSError: If it is a file, or cannot be written to.
    """
    output = _resolve(output)
    _check_writable("output", output.parent)
    if not os.path.lexists(output):
        return
    if not output.is_dir():
        raise NotADirectoryError(
            f"`output` should be a new or empty folder; found the file {output}. "
            "Choose another name."
        )
    if any(output.iterdir()):
        raise ValueError(
            f"`output` should be a new or empty folder; found {output} with "
            f"{sum(1 for _ in output.iterdir())} entries. Choose another, or remove it."
        )
    if os.path.ismount(output):  # Path.is_mount came to Windows late
        raise ValueError(
            f"`output` should be a folder that can be replaced; found {output}, where a disk is "
            "mounted. Choose a folder in it."
        )


def make_folder(what: str, folder: Path) -> None:
    """Make a folder, unless it is there, and the ones above it; see that it can be written to.

    Args:
        what: What it is, as the caller knows it.
        folder: The folder.

    Raises:
        OSError: If a file is in the way, or the disk or its permissions do not let it be.
    """
    _check_writable(what, folder)
    with _explaining_refusal(what, folder):
        folder.mkdir(parents=True, exist_ok=True)


def _check_writable(what: str, folder: Path) -> None:
    """Raise unless files can be made in a folder, or in the nearest one above it that is there."""
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    if not there.is_dir():
        raise NotADirectoryError(
            f"`{what}` should be a folder in folders; found the file {there}. "
            "Choose another place, or remove the file."
        )
    with _explaining_refusal(what, there), TemporaryFile(dir=there):
        pass  # permissions do not tell: a disk may be read-only, whatever they say


@contextmanager
def _explaining_refusal(what: str, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise type(error)(
            f"`{what}` should lie where files can be made; found that they cannot at {folder} "
            f"({error.strerror}). Mend that, or {_ELSEWHERE}"
        ) from error


def _check_room(what: str, folder: Path, num_bytes: int) -> None:
    if shutil.disk_usage(folder).free < num_bytes:
        raise DiskFullError(
            f"`{what}` should have {_room(num_bytes)}; found too little: {_free(folder)} at "
            f"{folder}. Nothing was written. Free some room, or {_ELSEWHERE}"
        )


def _sync(folder: Path) -> None:
    """Bring all bytes to the disk: a rename that outlives a power cut must find them there."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
