"""The gradient of weighted responses under an unchanged forward value.

Legend: M modalities, S coalitions with the full one last, v(S) values, W weights (M, S) such that
phi = W v, kappa_m coefficients, g the gradient of the loss in the logits.

Reference: Li et al., "Boosting Multi-modal Model Performance with Adaptive Gradient
Modulation", ICCV 2023, equations 4 and 9.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def value_factors(coefficients_M: Tensor, weights_MS: Tensor) -> Tensor:
    """Map coefficients of responses to factors of the gradient on each coalition's value.

    The modulated gradient is that of v(all) + sum_m (kappa_m - 1) phi_m. Where responses sum to
    v(all), as Shapley values do, this is sum_m kappa_m phi_m; written so, coefficients of one
    give the plain gradient bit for bit under any attribution.

    Args:
        coefficients_M: kappa, shape (M,).
        weights_MS: W, shape (M, S), the full coalition last.

    Returns:
        Shape (S,): what g is multiplied with on its way into each coalition's pass.

    Example:
        >>> from counterpoise.core.coalitions import shapley_weights
        >>> value_factors(torch.tensor([0.5, 1.0]), shapley_weights(2, dtype=torch.float32))
        tensor([-0.2500,  0.2500,  0.7500])
    """
    factors = torch.mv(weights_MS.t(), coefficients_M - 1)
    factors[-1].add_(1)
    return factors


def modulate(full: Tensor, partial_SB: Tensor, factors_S: Tensor) -> Tensor:
    """Return ``full`` unchanged, with a gradient that is spread over all coalitions.

    Args:
        full: Logits of the full coalition, shape (B, ...).
        partial_SB: Logits of the other coalitions, shape (S - 1, B, ...).
        factors_S: Factors of the gradient, shape (S,), the full coalition last.

    Returns:
        Shape (B, ...), equal to ``full`` bit for bit.

    Example:
        >>> full, alone = torch.ones(2, requires_grad=True), torch.ones(1, 2, requires_grad=True)
        >>> modulate(full, alone, torch.tensor([-0.25, 0.75])).sum().backward()
        >>> full.grad, alone.grad
        (tensor([0.7500, 0.7500]), tensor([[-0.2500, -0.2500]]))
    """
    result: Tensor = _Modulate.apply(full, partial_SB, factors_S)  # type: ignore[no-untyped-call]
    return result


class _Modulate(torch.autograd.Function):
    # With the context as an argument: PyTorch takes 0.1 ms a call to bind those of the newer form.
    @staticmethod
    def forward(ctx: Any, full: Tensor, partial_SB: Tensor, factors_S: Tensor) -> Tensor:
        ctx.save_for_backward(factors_S)
        return full.view_as(full)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        (gradient,) = gradients
        (factors_S,) = ctx.saved_tensors
        # Half precision is rounded once, at the end, and not in the factors too.
        factors = factors_S.view(-1, *[1] * gradient.dim())
        spread = (factors * gradient.to(factors)).to(gradient.dtype)
        return spread[-1], spread[:-1], None
