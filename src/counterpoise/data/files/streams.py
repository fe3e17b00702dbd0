"""Random streams keyed by what they are for."""

from __future__ import annotations

from hashlib import sha256

import torch


def stream(seed: int, *purpose: str) -> torch.Generator:
    """Return a generator of its own for each seed and purpose.

    Draws for one purpose never shift those for another, and two purposes never share numbers,
    as they would with ``seed + 1``.

    Args:
        seed: Any integer.
        purpose: Words that say what the numbers are for.

    Example:
        >>> a, b = stream(0, "noise", "train"), stream(0, "noise", "test")
        >>> bool(torch.equal(torch.rand(5, generator=a), torch.rand(5, generator=b)))
        False
    """
    key = sha256("\0".join((str(seed), *purpose)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(key[:7], "little"))
