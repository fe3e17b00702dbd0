"""Checkpoints with a digest of their content, so that training never resumes from a damaged one.

A checkpoint is what :func:`torch.save` writes, a zip archive; the digest stands in the archive's
comment, which every reader passes over. So a sealed file is read by :func:`torch.load` as any
other, and the digest goes wherever the file goes.
"""

from __future__ import annotations

import io
import os
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import torch
from lightning.fabric.plugins import TorchCheckpointIO

_MARK = b"counterpoise sha256 "
_COMMENT = len(_MARK) + 64
_END = b"PK\x05\x06"  # of the record that ends a zip archive, 22 bytes with an empty comment
_END_BYTES = 22
_BLOCK = 1 << 20


def seal(path: Path) -> None:
    """Write into a file by :func:`torch.save` the sha256 of all that stands before the digest.

    Args:
        path: The file, just written; it is brought to the disk.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "last.ckpt"
        >>> torch.save({"step": torch.tensor(3)}, path)
        >>> seal(path)
        >>> damage(path), torch.load(path, weights_only=True)
        (None, {'step': tensor(3)})
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(size - _END_BYTES)
        end = file.read()
        assert end.startswith(_END), "torch.save writes a zip archive without a comment"
        file.seek(size - 2)
        file.write(_COMMENT.to_bytes(2, "little"))  # the length of the comment that follows
        file.seek(0)
        digest = _digest(file, size)
        file.seek(size)
        file.write(_MARK + digest)
        file.flush()
        os.fsync(file.fileno())  # a rename that outlives a power cut must find the bytes there


def damage(path: Path) -> str | None:
    """Say what is wrong with a sealed file; None if its bytes are those that were written.

    Args:
        path: The file.

    Returns:
        A part of a sentence, after "found".

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "last.ckpt"
        >>> _ = path.write_bytes(b"PK")
        >>> damage(path)
        '2 bytes that do not end with a digest'
    """
    if not path.is_file():
        return "no file" if not path.exists() else "something that is no file"
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _COMMENT))
            comment = file.read()
            if len(comment) < _COMMENT or not comment.startswith(_MARK):
                return f"{size} bytes that do not end with a digest"
            file.seek(0)
            if _digest(file, size - _COMMENT) != comment.removeprefix(_MARK):
                return f"{size} bytes whose digest is not the one that was written with them"
    except OSError as error:
        return f"a file that cannot be read ({error.strerror})"
    return None


def _digest(file: BinaryIO, size: int) -> bytes:
    """The sha256 of the first bytes of a file, in hexadecimal digits."""
    digest = sha256()
    while size > 0:
        block = file.read(min(_BLOCK, size))
        if not block:
            break
        digest.update(block)
        size -= len(block)
    return digest.hexdigest().encode()


def sync_folder(folder: Path) -> None:
    """Bring the names of a folder to the disk, where the system can: a rename is one of them."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DirectCheckpoints(TorchCheckpointIO):
    """Writes checkpoints directly at their place, and reads plain values and tensors only.

    Lightning's own goes through the folder for temporary files, which may lie on another disk or
    in memory.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write what :func:`torch.save` makes of it.

        Raises:
            OSError: If the disk is full, say; nothing is left of the file then.
        """
        content = io.BytesIO()  # written by torch itself, a full disk would be a RuntimeError
        torch.save(checkpoint, content)
        Path(path).parent.mkdir(parents=True, exist_ok=True)  # callbacks of others choose their own
        try:
            Path(path).write_bytes(content.getbuffer())
        except OSError:
            Path(path).unlink(missing_ok=True)
            raise

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Any = "cpu",
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """Read, whatever is asked for, with ``weights_only=True``: no code from a file is run."""
        content: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        return content
