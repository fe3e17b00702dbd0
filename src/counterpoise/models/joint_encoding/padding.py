"""Which tokens of a sequence are padding, and how that survives the absence of a modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from counterpoise.core.absence import Absence, Keep, Zeros
from counterpoise.core.errors import check_kind, check_names


def real_tokens(tokens: Tensor) -> Tensor:
    """Return which tokens (B, T, D) are real, that is not all zeros: (B, T), boolean.

    Where no token of a sequence is real, as in an absent modality, all count: there is nothing
    to hide.

    Example:
        >>> import torch
        >>> from counterpoise.models.joint_encoding.padding import real_tokens
        >>> real_tokens(torch.tensor([[[5.0], [0.0]], [[0.0], [0.0]]]))
        tensor([[ True, False],
                [ True,  True]])
    """
    real = tokens.ne(0).any(dim=-1)
    return real | ~real.any(dim=-1, keepdim=True)


def mark_padding(tokens: Tensor) -> dict[str, Tensor]:
    """Map padded sequences to tokens and mask, so that the mask outlives the tokens' absence.

    Args:
        tokens: Shape (B, T, D), zeros where a sequence has ended.

    Returns:
        "tokens", as given, and "mask" (B, T), true where a token is real.

    Example:
        >>> import torch
        >>> from counterpoise.models import mark_padding
        >>> mark_padding(torch.tensor([[[5.0], [0.0]]]))["mask"]
        tensor([[ True, False]])
    """
    check_kind("tokens", tokens, Tensor, "a tensor of padded sequences (B, T, D)")
    if tokens.dim() != 3:
        raise ValueError(
            f"`tokens` should have shape (B, T, D); found {tuple(tokens.shape)}. Pass a batch of "
            "sequences of vectors."
        )
    return {"tokens": tokens, "mask": real_tokens(tokens)}


def absent_tokens(modalities: Sequence[str]) -> dict[str, dict[str, Absence]]:
    """Say what is absent where modalities are marked sequences: the tokens, not their masks.

    So it is published: masks are those of the data, whatever is then made absent.

    Args:
        modalities: Names of the modalities that are marked sequences.

    Returns:
        For each, zeros for "tokens" and what is there for "mask", as
        ``Modality(encoder=..., absent=...)`` takes it.

    Example:
        >>> from counterpoise.models import absent_tokens
        >>> absent_tokens(["text"])
        {'text': {'tokens': Zeros(), 'mask': Keep()}}
    """
    check_names("modalities", [*modalities] if isinstance(modalities, Mapping) else modalities)
    return {name: {"tokens": Zeros(), "mask": Keep()} for name in modalities}
