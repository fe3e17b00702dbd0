"""Where built data sets are kept, and how they get there and back unharmed.

A file holds a sha256 digest and then what :func:`torch.save` wrote. It appears under its name
only when it is whole, and is never used unless its bytes match the digest.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


class CorruptFileError(ValueError):
    """A file whose bytes are not those that were written."""


def cache_directory(root: str | Path | None = None) -> Path:
    """Return the directory for built data sets, which need not exist yet.

    Args:
        root: The directory itself. Default: ``$COUNTERPOISE_CACHE``, else ``counterpoise`` in
            ``$XDG_CACHE_HOME`` or in the user's usual place for caches.

    Example:
        >>> cache_directory("~").is_absolute()
        True
    """
    chosen = root or os.environ.get("COUNTERPOISE_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not Path(base).is_absolute():  # the standard says to ignore it then
        base = os.environ["LOCALAPPDATA"] if sys.platform == "win32" else "~/.cache"
    return Path(base).expanduser() / "counterpoise"


def write(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    """Write tensors and a record of plain values to a file.

    Args:
        path: Where to; a partial file is left there if interrupted, so write elsewhere first
            and rename.
        tensors: What to keep.
        record: How it was made.
    """
    payload = io.BytesIO()
    torch.save({"tensors": dict(tensors), "record": dict(record)}, payload)
    content = payload.getvalue()
    with path.open("wb") as file:
        file.write(sha256(content).digest())
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # a rename that outlives a power cut must find the bytes there


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write` wrote.

    Returns:
        The tensors and the record.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the content does not match its digest.
    """
    stored = path.read_bytes()
    expected, content = stored[:32], memoryview(stored)[32:]
    digest = sha256(content).digest()
    if digest != expected:
        raise CorruptFileError(
            f"`{path}` should have content with sha256 {expected.hex()[:12]}...; found "
            f"{digest.hex()[:12]}... in {len(stored)} bytes. Delete it and build it again."
        )
    loaded = torch.load(io.BytesIO(content), weights_only=True)
    return loaded["tensors"], loaded["record"]
