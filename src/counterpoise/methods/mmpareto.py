"""Pareto integration of the gradients of joint and unimodal losses.

Legend: g_joint and g_uni the gradients of the joint and of modality m's own loss in its encoder,
a and b their weights in what the encoder gets, gamma how much that is enlarged.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_range
from counterpoise.core.gradient_scaling import check_whole
from counterpoise.core.scores import sum_over_processes
from counterpoise.methods.method import Needs, Signals
from counterpoise.methods.shared.heads import Heads
from counterpoise.methods.shared.multitask import Multitask


class MMPareto(Multitask):
    r"""Adds each modality's own loss, and lets no encoder be pulled against the joint loss.

    Encoder m gets gamma (g_joint + g_uni) where the two agree (cosine >= 0). Where they conflict
    it gets the shortest vector between them, which both losses agree to, as long as gamma times
    their sum. All other parameters get the gradient of L + sum_m L_m.

    Args:
        gamma: Enlargement of the encoders' gradient, above 0. Published: 1.5.
        weight: Of each L_m, at least 0. Published: 1. With 0, and gamma 1, this is joint
            training bit for bit.
        heads: Modality to a module that maps its encoder's output to logits, or "linear" for
            the paper's linear classifiers, trained along. None: the additive heads that the model
            was wrapped with, or else what the model answers to each modality's features with the
            others' at zero.

    Needs encoders. In a :func:`~counterpoise.chain` with a method that makes losses of the
    modalities, such as :class:`~counterpoise.UnimodalLoss`, it combines those with the joint loss,
    and ``weight`` and its own losses do not count.

    Costs a backward pass more for the joint loss and one for each modality. The difference to the
    plain gradient is added to the loss as a linear term of value zero, so that accumulation, loss
    scaling, clipping and DDP see an ordinary loss. In float16 the passes inside are not scaled:
    use bfloat16.

    Differs from the official code: the length is set for an encoder as a whole, as direction
    and conflict are, where the code sets it for each tensor apart; any number of modalities.

    Example:
        >>> joint, own = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 2.0])  # they conflict
        >>> a, b = pareto_weights(joint @ joint, joint @ own, own @ own)
        >>> a * joint + b * own  # orthogonal to own - joint, as long as joint + own
        tensor([1.4142, 1.4142])

    Reference: Wei and Hu, "MMPareto: Boosting Multimodal Learning with Innocent Unimodal
    Assistance", ICML 2024, algorithm 1.
    """

    asks = Needs(owns="encoders")

    def __init__(
        self,
        gamma: float = 1.5,
        *,
        weight: float = 1.0,
        heads: Heads | None = None,
    ) -> None:
        super().__init__(heads, weight)
        check_range("gamma", gamma, low=0, open_low=True)
        check_range("weight", weight, low=0)
        self.gamma, self.weight = gamma, weight

    def modality_losses(self, signals: Signals) -> Tensor:
        """Return weight L_m, shape (M,); zeros where nothing is trained by them."""
        own_M = super().modality_losses(signals)
        return signals.logits.new_zeros(len(self.modalities)) if own_M is None else own_M

    def combine(self, joint: Tensor, own_M: Tensor, signals: Signals) -> Tensor:
        """Return the sum of all losses, with the encoders' gradient as said above."""
        total = joint + own_M.sum()
        encoders = [[p for p in ps if p.requires_grad] for ps in signals.encoder_parameters]
        if not any(encoders) or not torch.is_grad_enabled():
            return total
        check_whole(chain(*encoders))
        reached: set[nn.Parameter] = set()
        joint_M = _gradients(joint, encoders, reached)
        uni_M = [torch.zeros_like(g) for g in joint_M]
        all_M = joint_M
        for m, loss in enumerate(own_M if own_M.requires_grad else ()):
            of_loss_M = _gradients(loss, encoders, reached)
            uni_M[m] = of_loss_M[m]
            all_M = [g + h for g, h in zip(all_M, of_loss_M, strict=True)]
        for m, parameters in enumerate(encoders):
            if not parameters:  # frozen
                continue
            a, b = self._shares(joint_M[m], uni_M[m], signals.process_group)
            correction = self.gamma * (a * joint_M[m] + b * uni_M[m]) - all_M[m]
            total = total + _linear(parameters, correction.to(total.device), reached)
        return total

    def _shares(self, joint: Tensor, own: Tensor, group: object) -> tuple[Tensor, Tensor]:
        """Return a and b for two gradients, which are averaged over processes first."""
        both = torch.stack([joint, own]).to(torch.promote_types(joint.dtype, torch.float32))
        both = sum_over_processes(both, group)  # or mean: only directions and ratios count
        both = both / both.abs().max().clamp_min(torch.finfo(both.dtype).tiny)
        return pareto_weights(both[0] @ both[0], both[0] @ both[1], both[1] @ both[1])


def pareto_weights(jj: Tensor, ju: Tensor, uu: Tensor) -> tuple[Tensor, Tensor]:
    """Map the inner products of g_joint and g_uni to their weights a and b.

    Args:
        jj: <g_joint, g_joint>, a scalar.
        ju: <g_joint, g_uni>.
        uu: <g_uni, g_uni>.

    Returns:
        The scalars a and b. a g_joint + b g_uni is as long as the plain sum. They are ones if
        ju >= 0, else proportional to the weights of the shortest convex combination. Where the
        two all but cancel out, so that it has no direction, it is enlarged 10,000 times at most.
    """
    tiny = torch.finfo(jj.dtype).tiny
    share = (uu - ju) / (jj - 2 * ju + uu).clamp_min(tiny)  # in [0, 1] where they conflict
    shortest = share**2 * jj + 2 * share * (1 - share) * ju + (1 - share) ** 2 * uu
    wanted = (jj + 2 * ju + uu).clamp_min(0).sqrt()
    scale = wanted / torch.maximum(shortest.clamp_min(0).sqrt(), 1e-4 * wanted).clamp_min(tiny)
    conflict = ju < 0
    one = torch.ones_like(jj)
    return (share * scale).where(conflict, one), ((1 - share) * scale).where(conflict, one)


def _gradients(
    loss: Tensor, encoders: Sequence[Sequence[nn.Parameter]], reached: set[nn.Parameter]
) -> list[Tensor]:
    """Return the gradient of a loss in each encoder, as one vector each; note what it reaches."""
    flat = [p for parameters in encoders for p in parameters]
    gradients = torch.autograd.grad(loss, flat, retain_graph=True, allow_unused=True)
    reached.update(p for p, g in zip(flat, gradients, strict=True) if g is not None)
    remaining, vectors = iter(gradients), []
    for parameters in encoders:
        parts = [next(remaining) for _ in parameters]
        pairs = zip(parts, parameters, strict=True)
        parts = [(torch.zeros_like(p) if g is None else g.to_dense()).flatten() for g, p in pairs]
        vectors.append(torch.cat([*parts, loss.new_zeros(0)]))
    return vectors


def _linear(
    parameters: Sequence[nn.Parameter], gradient: Tensor, reached: set[nn.Parameter]
) -> Tensor:
    """Return a zero whose gradient in the parameters that are reached is the one given."""
    gradient = gradient.nan_to_num(0, 0, 0)  # whoever looks for overflow finds it in the rest
    pieces = torch.split(gradient, [p.numel() for p in parameters])
    zeros = [
        (piece.view_as(p) * (p - p.detach())).sum()
        for piece, p in zip(pieces, parameters, strict=True)
        if p in reached  # a gradient of zero, where there was none, would let weight decay act
    ]
    return torch.stack([*zeros, gradient.new_zeros(())]).sum()
