"""Unimodal teachers."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from counterpoise.core.errors import check_mapping, check_range, suggestion
from counterpoise.core.pytree import PyTree, shapes, tensors
from counterpoise.methods.method import Method, Needs, Signals


class UMT(Method):
    r"""Draws each modality's feature to that of a teacher which was trained on it alone.

    L + weight sum_m MSE(f_m, t_m(x_m)), where t_m is frozen, and in eval mode.

    Args:
        teachers: Modality to a module that maps its batch to a feature of the shape that its
            encoder returns, such as the encoder of a model trained on that modality alone. They
            are copied into the method's state, so that checkpoints are complete. None: in a recipe,
            the encoders of the same network trained on each modality alone, which ``counterpoise
            train``, ``compare`` and ``compete`` take from their store of runs, and train where
            they are not there yet; :func:`counterpoise.experiments.unimodal_teachers` returns
            them.
        weight: At least 0. Released setting: 10.

    Needs encoders.

    Raises:
        ValueError: When a model is wrapped, unless there is a teacher for each modality; in a
            step, if a teacher's feature has another shape, or teachers have not been trained.

    Example:
        >>> method = UMT({"audio": nn.Identity(), "image": nn.Identity()}, weight=2.0)
        >>> method.bind(["audio", "image"])
        >>> batch = {"audio": torch.ones(5, 3), "image": torch.zeros(5, 7)}
        >>> _ = method.inputs(batch, None)
        >>> features = (torch.zeros(5, 3), torch.zeros(5, 7))
        >>> method.modality_losses(Signals(None, None, features=features))
        tensor([2., 0.])

    Reference: Du et al., "On Uni-Modal Feature Learning in Supervised Multi-Modal Learning",
    ICML 2023.
    """

    def __init__(
        self, teachers: Mapping[str, nn.Module] | None = None, weight: float = 10.0
    ) -> None:
        super().__init__()
        check_range("weight", weight, low=0)
        self.weight = weight
        self.teachers = nn.ModuleDict()
        self._trained = self._given = False
        self._targets: list[PyTree] = []
        if teachers is not None:
            self.teach(teachers)
            self._given = True

    def teach(self, teachers: Mapping[str, nn.Module], *, trained: bool = True) -> None:
        """Take copies of teachers, which are frozen.

        Args:
            teachers: As in the constructor.
            trained: Whether they are. If not, they make room for those of a checkpoint.

        Raises:
            TypeError: If they are not modules by name.
        """
        check_mapping("teachers", teachers, nn.Module, "each modality to a module trained on it")
        # Copies, for the encoders of the model itself may be given, as they are when it starts.
        copies = deepcopy(dict(teachers))
        self.teachers = nn.ModuleDict(copies).requires_grad_(False).eval()
        self._trained = trained

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Check that each modality has a teacher.

        Raises:
            ValueError: If not.
        """
        for name in (*self.teachers, *self.modalities):
            if name not in self.modalities or name not in self.teachers:
                meant = f"{suggestion(name, self.modalities)} Name each once."
                remedy = " Pass what counterpoise.experiments.unimodal_teachers(recipe) returns."
                raise ValueError(
                    f"`teachers` should have one for each of {', '.join(self.modalities)}; found "
                    f"{', '.join(self.teachers) or 'none'}.{meant if self.teachers else remedy}"
                )

    def train(self, mode: bool = True) -> UMT:
        """Set the mode, and leave teachers in eval mode."""
        super().train(mode)
        self.teachers.eval()
        return self

    def settings(self) -> dict[str, Any]:
        """Return the arguments, for a run's record."""
        teachers = {name: _digest(teacher) for name, teacher in self.teachers.items()}
        return {"teachers": teachers if self._given else None, "weight": self.weight}

    def needs(self) -> Needs:
        """Return that features are looked at."""
        return Needs(features=True, owns="encoders")

    def inputs(self, inputs: Mapping[str, PyTree], target: PyTree) -> Mapping[str, PyTree]:
        """Leave the data as they are; show them to the teachers.

        Raises:
            ValueError: If these were never trained.
        """
        if not self._trained:
            raise ValueError(
                "`teachers` should be trained for UMT; found encoders as they were drawn. Pass "
                "what counterpoise.experiments.unimodal_teachers(recipe) returns to `train(recipe, "
                "teachers=...)`, or load a checkpoint."
            )
        with torch.no_grad():
            self._targets = [self.teachers[name](inputs[name]) for name in self.modalities]
        return inputs

    def modality_losses(self, signals: Signals) -> Tensor:
        """Return weight MSE, shape (M,); of a feature of several tensors their mean."""
        targets, self._targets = self._targets, []
        losses = []
        for name, feature, target in zip(self.modalities, signals.features, targets, strict=True):
            if shapes(feature) != shapes(target):
                raise ValueError(
                    f"The teacher of {name!r} should return a feature of the shape that the "
                    f"encoder returns, {[tuple(s) for s in shapes(feature)]}; found "
                    f"{[tuple(s) for s in shapes(target)]}. Pass one built alike."
                )
            pairs = zip(tensors(feature), tensors(target), strict=True)
            parts = [_distance(f, t) for f, t in pairs if f.is_floating_point()]
            losses.append(torch.stack(parts).mean())
        return self.weight * torch.stack(losses)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        saved = any(key.startswith(f"{prefix}teachers.") for key in state_dict)
        self._trained = self._trained or saved


def untaught(method: Method) -> list[UMT]:
    """Return the parts of a method that learn from teachers and have none yet.

    Example:
        >>> from counterpoise import AGM, chain
        >>> [m.title() for m in untaught(chain(AGM(), UMT()))]
        ['UMT']
    """
    return [part for part in method.modules() if isinstance(part, UMT) and not part.teachers]


def _digest(module: nn.Module) -> str:
    """Return what a record tells a module by: its class, and a digest of all that it holds."""
    digest = sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
    return f"{type(module).__name__} {digest.hexdigest()[:16]}"


def _distance(feature: Tensor, target: Tensor) -> Tensor:
    wide = torch.promote_types(feature.dtype, torch.float32)
    return F.mse_loss(feature.to(wide), target.to(wide))
