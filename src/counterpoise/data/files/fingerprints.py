"""Content hashes of tensors and files."""

from __future__ import annotations

import ctypes
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from torch import Tensor


class _Digest(Protocol):
    def update(self, data: bytes | ctypes.Array[ctypes.c_char], /) -> None: ...


def update_with_tensor(digest: _Digest, name: str, tensor: Tensor) -> None:
    """Feed a tensor's name, type, shape and bytes into a hash.

    Args:
        digest: A ``hashlib`` object.
        name: What the tensor is called; part of the hash, so that swapped tensors show.
        tensor: Any dense tensor; a contiguous one on the CPU is read where it lies.

    Example:
        >>> from hashlib import sha256
        >>> digest = sha256()
        >>> update_with_tensor(digest, "x", Tensor([2, 3, 5]))
        >>> digest.hexdigest()[:8]
        'b1458c1f'
    """
    stored = tensor.detach().cpu().contiguous()
    digest.update(f"{name}\0{stored.dtype}\0{tuple(stored.shape)}\0".encode())
    num_bytes = stored.numel() * stored.element_size()
    if num_bytes:
        # A view of the memory, since .numpy() would make NumPy a requirement and know no bfloat16.
        digest.update((ctypes.c_char * num_bytes).from_address(stored.data_ptr()))


def file_digest(path: Path) -> str:
    """Return the sha256 of a file, hexadecimal."""
    digest = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
