"""Methods by old rules for which there is no option now, and studies that use them, for parity.py.

Where there are no heads, unimodal logits were responses; now they are what the model makes of each
modality's features with the others' at zero. Two classes draw random numbers in the old order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

import counterpoise as cp
from counterpoise.core.pytree import PyTree, tensors
from counterpoise.measures import Batches
from counterpoise.training import Recipe

__all__ = ["OldCGGM", "OldGBlend", "OldMLB", "OldMMPareto", "OldOGM", "OldOGMGE", "OldOPM"]
__all__ += ["OldOPMWithHeads", "OldSampled", "OldUnimodalLoss", "published"]


class _OnResponses(cp.Method):
    """Asks for responses as deeply as the method asks for unimodal logits."""

    def needs(self) -> cp.Needs:
        needs = super().needs()
        return needs._replace(responses=needs.unimodal_logits, unimodal_logits="nothing")


class OldCGGM(_OnResponses, cp.CGGM):
    """As it was, and so are all below."""


class OldGBlend(_OnResponses, cp.GBlend):
    """Weights from losses of responses."""


class OldMLB(_OnResponses, cp.MLB):
    """Evidence and losses of responses."""


class OldMMPareto(_OnResponses, cp.MMPareto):
    """Losses of responses."""


class OldOGM(_OnResponses, cp.OGM):
    """Confidence of responses."""


class OldOGMGE(_OnResponses, cp.OGMGE):
    """Confidence of responses."""


class OldOPMWithHeads(cp.OPM):
    """Random numbers in the old order, and all else as it is.

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


class OldOPM(_OnResponses, OldOPMWithHeads):
    """Confidence of responses, too."""


class OldSampled(cp.AGM):
    """Orderings of three modalities behind two more, which were drawn before the first step.

    Looking at the model for the first time drew the two orderings of a step that nobody used.
    """

    _drawn = False

    def set_epoch(self, epoch: int) -> None:
        """Learn the epoch, from 0 on; draw before the first."""
        super().set_epoch(epoch)
        if not self._drawn:
            self._drawn = True
            for _ in range(2):
                torch.randperm(3)


class OldUnimodalLoss(_OnResponses, cp.UnimodalLoss):
    """Losses of responses."""


def published(kind: Any, settings: Mapping[str, Any]) -> Any:
    """Return a study with the same runs by the rules that were the defaults before.

    Args:
        kind: The class of the study.
        settings: What each recipe says beside its method.
    """

    class Published(kind):  # type: ignore[misc]
        def cases(self) -> list[Any]:
            cases: list[Any] = super().cases()
            return [
                replace(c, runs={p: _old(r, settings) for p, r in c.runs.items()}) for c in cases
            ]

        @staticmethod
        def measure(runs: Mapping[str, Any]) -> dict[str, Any]:
            # Once a model has been looked at, encoders see a single absent sample, as they did.
            for run in (runs[part] for part in ("joint", "run") if part in runs):
                run.balanced.validate(**next(iter(Batches(run.splits.test_set))))
            measured: dict[str, Any] = kind.measure(runs)
            return measured

    return Published


def _old(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    method, name = recipe.method, f"Old{type(recipe.method).__name__}"
    if isinstance(method, cp.AGM):
        method = cp.AGM(method.alpha, clamp=10.0, reference=method.reference)
    elif name in __all__:  # which the studies use with its defaults
        method = globals()[name]()
    return recipe.replace(method=method, name=recipe.name, **settings)
