"""How unequal the modalities are, as other papers measure it.

Legend: M modalities, B samples, v(S) performance with the modalities of S alone, s_m summed
probability that modality m's own logits give to the labels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from counterpoise.core.errors import check_kind
from counterpoise.core.scores import CrossEntropy
from counterpoise.measures.contributions import (
    every_coalition,
    in_floating_point,
    num_modalities_of,
)
from counterpoise.methods.shared.evidence import mean_of_others


def conditional_utilisation(performances: Tensor) -> Tensor:
    """Map performances of coalitions to how much of the whole each modality adds to the others.

    u_m = [v(all) - v(all but m)] / v(all): 0 where the others do as well without it, 1 where they
    can do nothing. For two modalities the difference of the two is the imbalance that the paper
    reports.

    Args:
        performances: v(S), an accuracy or another performance that is above 0, shape (2^M,) or
            (2^M, ...), in the order of :func:`every_coalition`.

    Returns:
        Shape (M, ...); below 0 where a modality does harm.

    Raises:
        ValueError: If there is no M with so many coalitions, or v(all) is not above 0.

    Example: both right in 8 of 10 cases, the first alone in 6 and the second alone in 2.

        >>> conditional_utilisation(torch.tensor([0.1, 0.6, 0.2, 0.8]))
        tensor([0.7500, 0.2500])

    Reference: Wu et al., "Characterizing and Overcoming the Greedy Nature of Learning in
    Multi-modal Deep Neural Networks", ICML 2022, section 3.
    """
    num_modalities = num_modalities_of(performances)
    if num_modalities < 2:
        raise ValueError(
            "`performances` should have one for each subset of two modalities or more, 4, 8, ...; "
            f"found {len(performances)}. Measure all of `every_coalition(M)`."
        )
    performances = in_floating_point(performances)
    whole = performances[-1]
    if not bool((whole > 0).all()):
        raise ValueError(
            "`performances` should be above 0 for all modalities together; found "
            f"{whole.min():g}. Pass accuracies, and not losses."
        )
    order = every_coalition(num_modalities)
    everyone = range(num_modalities)
    without = [order.index(tuple(j for j in everyone if j != m)) for m in everyone]
    return (whole - performances[without]) / whole


def accuracy_gap(unimodal_accuracy: Tensor) -> Tensor:
    """Return the difference between the best and the worst modality's own accuracy.

    Args:
        unimodal_accuracy: Shape (M,) or (M, ...), as in ``Evaluation.unimodal_accuracy``.

    Returns:
        Shape () or (...), at least 0.

    Example:
        >>> accuracy_gap(torch.tensor([0.62, 0.35, 0.41]))
        tensor(0.2700)
    """
    check_kind("unimodal_accuracy", unimodal_accuracy, Tensor, "a tensor of shape (M, ...)")
    if not unimodal_accuracy.dim() or not unimodal_accuracy.isfinite().all():
        raise ValueError(
            f"`unimodal_accuracy` should be finite, one a modality; found "
            f"{unimodal_accuracy.tolist()}. Pass that of each modality."
        )
    return unimodal_accuracy.amax(dim=0) - unimodal_accuracy.amin(dim=0)


def discrepancy_ratios(unimodal_logits: Tensor, target: Tensor) -> Tensor:
    """Map the modalities' own logits to how much surer of the labels each is than the others.

    rho_m = s_m / mean_{j != m} s_j, which OGM and its successors act on; 1 for all at par.

    Args:
        unimodal_logits: Shape (M, B, C), as ``balanced.respond(...)`` returns them.
        target: Class labels, shape (B,); samples labelled -100 do not count.

    Returns:
        Shape (M,).

    Raises:
        ValueError: If targets are no class labels.

    Example: the first gives the label 3/4 and the second 1/2.

        >>> logits = torch.tensor([[[0.0, 1.0986]], [[0.0, 0.0]]])
        >>> discrepancy_ratios(logits, torch.tensor([1]))
        tensor([1.5000, 0.6667])

    Reference: Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation",
    CVPR 2022, equation 8.
    """
    check_kind("unimodal_logits", unimodal_logits, Tensor, "a tensor of shape (M, B, C)")
    if unimodal_logits.dim() != 3 or len(unimodal_logits) < 2:
        raise ValueError(
            f"`unimodal_logits` should be of shape (M, B, C), of two modalities or more; found "
            f"{tuple(unimodal_logits.shape)}. Stack the logits of each modality."
        )
    check_kind("target", target, Tensor, "a tensor of class labels (B,)")
    if target.is_floating_point() or target.dim() != 1:
        raise ValueError(
            f"`target` should be class labels (B,) for discrepancy ratios; found {target.dtype} of "
            f"shape {tuple(target.shape)}. They are defined for classes alone."
        )
    CrossEntropy().check(unimodal_logits[0], target)
    p = unimodal_logits.detach().to(torch.promote_types(unimodal_logits.dtype, torch.float32))
    labelled = target.ne(CrossEntropy().ignore_index)
    p, target = p[:, labelled].softmax(dim=2), target[labelled]
    s = p.gather(2, target.expand(len(p), -1).unsqueeze(2)).sum(dim=(1, 2))
    return s / mean_of_others(s).clamp_min(torch.finfo(s.dtype).tiny)
