"""Methods that take responses for unimodal logits where there are no heads, as all did before.

Now these logits are what the model makes of each modality's features with the others' at zero. The
experiments of parity.py ask for the old rule by these classes, so that they differ by nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

import counterpoise as cp
from counterpoise.core.pytree import PyTree, tensors

__all__ = ["CGGM", "MLB", "OGM", "OGMGE", "OPM", "GBlend", "MMPareto", "UnimodalLoss"]


class _OnResponses(cp.Method):
    """Asks for responses as deeply as the method asks for unimodal logits."""

    def needs(self) -> cp.Needs:
        needs = super().needs()
        return needs._replace(responses=needs.unimodal_logits, unimodal_logits="nothing")


class CGGM(_OnResponses, cp.CGGM):
    """As it was, and so are all below."""


class GBlend(_OnResponses, cp.GBlend):
    """Weights from losses of responses."""


class MLB(_OnResponses, cp.MLB):
    """Evidence and losses of responses."""


class MMPareto(_OnResponses, cp.MMPareto):
    """Losses of responses."""


class OGM(_OnResponses, cp.OGM):
    """Confidence of responses."""


class OGMGE(_OnResponses, cp.OGMGE):
    """Confidence of responses."""


class OPM(_OnResponses, cp.OPM):
    """Confidence of responses; random numbers in the old order.

    Which samples are spared was drawn after what is dropped of the first modality; now it is first.
    """

    def inputs(self, inputs: Mapping[str, PyTree], target: PyTree) -> Mapping[str, PyTree]:
        """Leave the data as they are; draw the second numbers first, and go back."""
        start = torch.get_rng_state()
        torch.rand(len(tensors(inputs)[0]))
        super().inputs(inputs, target)
        self._later = torch.get_rng_state()
        torch.set_rng_state(start)
        return inputs

    def feature(self, index: int, feature: PyTree) -> PyTree:
        """Return the feature without some samples; go on behind all that was drawn."""
        dropped = super().feature(index, feature)
        if index == 0:
            torch.set_rng_state(self._later)
        return dropped


class UnimodalLoss(_OnResponses, cp.UnimodalLoss):
    """Losses of responses."""
