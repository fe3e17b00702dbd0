"""The same network with all modalities but one absent, as a module that is trained like any other.

Where modalities meet early there is no branch to cut out: a modality's concept is what the same
network learns when the others are absent throughout. Where logits are a sum over modalities this
is the modality's own branch: what the absent ones add is a constant, a second bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from counterpoise.core.absence import Absence, AbsentValues
from counterpoise.core.errors import check_choice, check_kind, check_mapping, check_names
from counterpoise.core.pytree import PyTree, expand_rows, map_tensors, shapes
from counterpoise.engine.arguments import check_forward
from counterpoise.engine.interception import Interception, Route
from counterpoise.engine.modes import EvaluationMode
from counterpoise.engine.ownership import Ownership
from counterpoise.engine.settings import Modality, named
from counterpoise.methods import Joint
from counterpoise.training.architectures import Architecture

if TYPE_CHECKING:
    from counterpoise.data import Splits
    from counterpoise.training.recipe import Recipe


class UnimodalModel(nn.Module):
    """Runs a model with every modality but one absent, whatever it is given for the others.

    Args:
        model: Takes its modalities as keywords. It is trained in place, at ``.model``.
        modality: The one that is there.
        modalities: Names of all, in order.
        encoders: Path of each modality's encoder in the model. With them, the encoder of an
            absent modality runs on a single row in eval mode, which costs next to nothing and
            gives, as a constant has no batch statistics, what it gives whenever it is absent.
        absent: What stands in for an absent modality, as in ``Balanced``. Default: zeros.

    Raises:
        ValueError: If ``modality`` or a name or path in ``encoders`` is unknown.

    Example:
        >>> import torch
        >>> from counterpoise.models import build
        >>> model = build({"left": (3,), "right": (5,)}, num_classes=2)
        >>> left = UnimodalModel(model, "left", model.modalities, encoders=model.encoder_paths)
        >>> x, y = torch.randn(7, 3), torch.randn(7, 5)
        >>> torch.allclose(left(left=x, right=y), model(left=x, right=torch.zeros(7, 5)))
        True
    """

    def __init__(
        self,
        model: nn.Module,
        modality: str,
        modalities: Sequence[str],
        *,
        encoders: Mapping[str, str] | None = None,
        absent: Absence | Mapping[str, PyTree] | None = None,
    ) -> None:
        super().__init__()
        check_kind("model", model, nn.Module, "a torch.nn.Module")
        check_names("modalities", modalities, at_least=2)
        check_forward(model, modalities)
        check_mapping("encoders", encoders or {}, str, "modalities to paths of encoders")
        check_names("encoders", [*(encoders or {})], at_least=0, known=modalities)
        given = named({name: Modality(encoder=(encoders or {}).get(name)) for name in modalities})
        self.modalities = given.names
        check_choice("modality", modality, self.modalities)
        Ownership(model, given)
        self.model, self.modality = model, modality
        self.absent = AbsentValues(self.modalities, absent)
        self.encoders = {name: path for name, path in (encoders or {}).items() if name != modality}
        self._axes: dict[int, list[int] | None] = {}  # of rows in what each encoder returns

    def forward(self, **inputs: Any) -> Any:
        """Return what the model returns with the other modalities absent."""
        given = dict(inputs)
        for i, name in enumerate(self.modalities):
            if name != self.modality:
                given[name] = self.absent(i, inputs[name])
        routes = [
            Route(self.model.get_submodule(path), self.modalities.index(name), self._encode_aside)
            for name, path in self.encoders.items()
        ]
        with Interception(routes):
            return self.model(**given)

    def _encode_aside(self, i: int, forward: Any, /, *args: Any, **kwargs: Any) -> Any:
        encoder = self.model.get_submodule(self.encoders[self.modalities[i]])
        with EvaluationMode(encoder.modules()):
            return self._encode(i, forward, args, kwargs)

    def _encode(self, i: int, forward: Any, args: Any, kwargs: Any) -> Any:
        """Run an absent modality's encoder on one row, where rows are alike."""
        if self.absent.varies(i):
            return forward(*args, **kwargs)
        num_rows = {shape[0] for shape in shapes((args, kwargs)) if shape}
        if len(num_rows) != 1 or 0 in num_rows:
            return forward(*args, **kwargs)
        (rows,) = num_rows
        feature = self._first(1, forward, args, kwargs)
        if i not in self._axes:
            with torch.no_grad():
                self._axes[i] = _row_axes(feature, self._first(2, forward, args, kwargs))
        axes = self._axes[i]
        if axes is None:
            return forward(*args, **kwargs)
        left = iter(axes)
        return map_tensors(lambda t: _spread(t, next(left), rows), feature)

    @staticmethod
    def _first(num_rows: int, forward: Any, args: Any, kwargs: Any) -> Any:
        """Run an encoder on the first row, so many times."""
        given = map_tensors(lambda t: expand_rows(t, num_rows) if t.dim() else t, (args, kwargs))
        return forward(*given[0], **given[1])

    def extra_repr(self) -> str:
        """Show the modality."""
        return f"modality={self.modality!r}"


@dataclass(frozen=True)
class UnimodalNetwork(Architecture):
    """Builds another architecture's network with all modalities but one absent.

    From the same seed it starts from the same weights.

    Args:
        model: Builds the network.
        modality: The one that is there.
        absent: What stands in for absent modalities. Default: zeros.

    Example:
        >>> from counterpoise.data import Synthetic
        >>> from counterpoise.training import Network
        >>> network = UnimodalNetwork(Network(), "m2").build(Synthetic().load())
        >>> type(network.model).__name__, network.modality
        ('MultimodalNetwork', 'm2')
    """

    model: Architecture
    modality: str
    absent: Absence | None = None

    def build(self, splits: Splits) -> nn.Module:
        """Return the network."""
        model = self.model.build(splits)
        return UnimodalModel(
            model,
            self.modality,
            splits.modalities,
            encoders=self.model.encoder_paths(model),
            absent=deepcopy(self.absent) or self.model.absent_values(splits),
        )

    def select(self, model: nn.Module) -> Callable[[Any], Tensor] | None:
        """Return what the network within takes its logits by."""
        return self.model.select(_within(model))

    def extra_loss(self, model: nn.Module) -> Callable[[Any, Any], Tensor] | None:
        """Return the loss that is added for the network within."""
        return self.model.extra_loss(_within(model))


def _row_axes(one: PyTree, two: PyTree) -> list[int] | None:
    """Return the axis of rows of each tensor, from encodings of one row and of two.

    In the final states of a recurrent network it is not the first. None where it is not known.

    Example:
        >>> import torch
        >>> states = [(torch.zeros(rows, 5, 7), torch.zeros(1, rows, 7)) for rows in (1, 2)]
        >>> _row_axes(*states)
        [0, 1]
    """
    if len(shapes(one)) != len(shapes(two)):  # as of a list with an entry for each row
        return None
    axes = []
    for first, second in zip(shapes(one), shapes(two), strict=True):
        changed = [axis for axis, size in enumerate(first) if second[axis] != size]
        if len(changed) != 1 or (first[changed[0]], second[changed[0]]) != (1, 2):
            return None
        axes += changed
    return axes


def _spread(tensor: Tensor, axis: int, rows: int) -> Tensor:
    """Repeat the only row of a tensor along its axis."""
    sizes = list(tensor.shape)
    sizes[axis] = rows
    return tensor.expand(sizes).clone()


def _within(model: nn.Module) -> nn.Module:
    assert isinstance(model, UnimodalModel)
    return model.model


def alone_recipe(recipe: Recipe, modality: str) -> Recipe:
    """Return the recipe of the same network trained on one modality alone, all else equal.

    Args:
        recipe: Of the joint run; its method has no part in the other.
        modality: The one that is there.
    """
    assert recipe.model is not None
    return recipe.replace(
        method=Joint(),
        model=UnimodalNetwork(recipe.model, modality, recipe.absent),
        coalitions=None,
        attribution="shapley",
        absent=None,
        monitor=False,
        name=f"{recipe.data.name}-{modality}-alone-{recipe.seed}",
    )
