"""What stands in for an absent modality.

The published choice is zeros (Li et al., "Boosting Multi-modal Model Performance with Adaptive
Gradient Modulation", ICCV 2023, section 3.1). Each alternative is one small object, given to
``counterpoise.Modality(absent=...)``, or, where a modality is a pytree of tensors, leaf by leaf in
a pytree of the same form.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from counterpoise.core.errors import check_count, check_list, check_range, described, suggestion
from counterpoise.core.pytree import PyTree

__all__ = ["Absence", "AbsentValues", "Constant", "Keep", "Learned", "Noise", "Zeros", "data_mean"]


class Absence(nn.Module):
    """Maps a batch of one tensor of a modality to the batch that stands for its absence.

    Write ``forward(x: (B, ...)) -> (B, ...)``, same shape, type and device, not aliasing ``x``.

    Attributes:
        varies: Whether rows differ from each other. Where they do not, an encoder needs to see
            a single absent sample and not a batch of them.
    """

    varies: bool = False

    def forward(self, x: Tensor) -> Tensor:
        """Return what stands in for ``x``."""
        raise NotImplementedError


class Zeros(Absence):
    """Stands in zeros (False for masks), as published.

    Example:
        >>> Zeros()(torch.ones(2, 3))
        tensor([[0., 0., 0.],
                [0., 0., 0.]])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return zeros like ``x``."""
        return torch.zeros_like(x)


class Constant(Absence):
    """Stands in a fixed value, such as the id of a padding token or a neutral image.

    Args:
        value: A number, or a tensor that broadcasts to one sample.

    Example:
        >>> Constant(7)(torch.tensor([[1, 2], [3, 4]]))
        tensor([[7, 7],
                [7, 7]])
    """

    value: Tensor

    def __init__(self, value: float | Tensor) -> None:
        super().__init__()
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number and not (isinstance(value, Tensor) and not value.is_complex()):
            raise TypeError(
                f"`value` should be a number or a real tensor; found {described(value)}. Wrap "
                "lists with torch.tensor."
            )
        stored = torch.as_tensor(value)
        if not stored.isfinite().all():
            raise ValueError(
                f"`value` should be finite; found {described(value)}. Choose a neutral value of "
                "the data."
            )
        self.register_buffer("value", stored)
        self._fitting: set[torch.dtype] = set()  # types of whole numbers that can hold the value

    def forward(self, x: Tensor) -> Tensor:
        """Return the constant, broadcast to the shape of ``x``."""
        _check_sample(type(self).__name__, self.value, x)
        if not (x.is_floating_point() or x.is_complex() or torch.compiler.is_compiling()):
            self._check_fits(x.dtype)
        return self.value.to(x).expand(x.shape).clone()

    def _check_fits(self, dtype: torch.dtype) -> None:
        """Raise where the value would become another one: looked at once, for the device waits."""
        if dtype in self._fitting:
            return
        if not self.value.to(dtype).to(self.value.dtype).equal(self.value):
            raise ValueError(
                f"`value` should be one that {dtype} can hold, the type of the modality; found "
                f"{described(self.value.tolist())}. Choose a whole number in its range."
            )
        self._fitting.add(dtype)


def data_mean(batches: Iterable[Tensor]) -> Constant:
    """Stand in the mean of the training data, so that absence carries the usual offset.

    Args:
        batches: Floating-point tensors of shape (B, ...); the mean is over all their rows.

    Returns:
        A :class:`Constant`.

    Raises:
        TypeError: If the data are integers, whose mean (of token ids, say) means nothing.
        ValueError: If there is no row to average.

    Example:
        >>> data_mean([torch.tensor([[0.0, 2.0]]), torch.tensor([[4.0, 4.0]])]).value
        tensor([2., 3.])
    """
    total, count, dtype = None, 0, torch.float32
    for batch in _tensors(batches):
        if not batch.is_floating_point():
            raise TypeError(
                f"`batches` should be floating point; found {batch.dtype}. The mean of ids means "
                "nothing: use `Constant` with the id of a padding token."
            )
        summed = batch.sum(dim=0, dtype=torch.float64)
        if (total is not None and total.shape != summed.shape) or not summed.isfinite().all():
            raise ValueError(
                f"`batches` should be finite and of one sample shape; found "
                f"{described(batch)}. Pass batches of one modality, without gaps."
            )
        total = summed if total is None else total + summed
        count, dtype = count + len(batch), batch.dtype
    if total is None or count == 0:
        raise ValueError("`batches` should hold at least one row; found none. Pass training data.")
    return Constant((total / count).to(dtype))


def _tensors(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    if not isinstance(batches, Iterable) or isinstance(batches, Tensor):
        raise TypeError(
            f"`batches` should be tensors; found {described(batches)}. Pass a list of them."
        )
    for batch in batches:
        if not isinstance(batch, Tensor):
            raise TypeError(
                f"`batches` should be tensors; found {described(batch)} among them. Pass the "
                "tensors of one modality."
            )
        yield batch


class Learned(Absence):
    """Stands in a value that is trained along, as a mask token is.

    Its parameter belongs to the ``Balanced`` module: give the optimiser
    ``balanced.parameters()``, not ``model.parameters()``.

    Args:
        sample_shape: Shape of one sample, without the batch axis. Starts at zeros.

    Example:
        >>> Learned((3,))(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """

    def __init__(self, sample_shape: Sequence[int]) -> None:
        super().__init__()
        check_list("sample_shape", sample_shape, int, "the sizes of one sample")
        for size in sample_shape:
            check_count("sample_shape", size, at_least=1)
        self.value = nn.Parameter(torch.zeros(tuple(sample_shape)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the learned value for every row of ``x``."""
        _check_floating(type(self).__name__, x)
        _check_sample(type(self).__name__, self.value, x)
        return self.value.to(x.dtype).expand(x.shape).clone()


class Noise(Absence):
    """Stands in Gaussian noise, drawn once a step and shared by all coalitions of the step.

    Args:
        std: Standard deviation, in the units of the data, at least 0.
        mean: Mean, in the units of the data.

    Example:
        >>> _ = torch.manual_seed(0)
        >>> Noise(std=2.0)(torch.zeros(500, 20)).std().round(decimals=1)
        tensor(2.)
    """

    varies = True

    def __init__(self, std: float = 1.0, mean: float = 0.0) -> None:
        super().__init__()
        check_range("std", std, low=0)
        check_range("mean", mean, low=float("-inf"))
        self.std, self.mean = std, mean

    def forward(self, x: Tensor) -> Tensor:
        """Return fresh noise in the shape of ``x``."""
        _check_floating(type(self).__name__, x)
        return torch.randn_like(x).mul_(self.std).add_(self.mean)


class Keep(Absence):
    """Leaves a tensor as it is: for the parts of a pytree that are not content, such as masks.

    Example:
        >>> Keep()(torch.tensor([True, False]))
        tensor([ True, False])
    """

    varies = True

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` itself."""
        return x


def _shown(tree: PyTree) -> str:
    """Describe the form of a pytree: {'ids': ·, 'mask': ·}."""
    leaves, structure = pytree.tree_flatten(tree)
    return repr(pytree.tree_unflatten([_Dot()] * len(leaves), structure))


class _Dot:
    def __repr__(self) -> str:
        return "·"


def _check_floating(name: str, x: Tensor) -> None:
    if not x.is_floating_point():
        raise TypeError(
            f"`{name}` should stand in for floating-point tensors; found {x.dtype}. For ids use "
            "`Constant` with the id of a padding token."
        )


def _check_sample(name: str, value: Tensor, x: Tensor) -> None:
    sample = x.shape[1:]
    trailing = zip(reversed(value.shape), reversed(sample), strict=False)
    if value.dim() > len(sample) or any(have not in (1, want) for have, want in trailing):
        raise ValueError(
            f"`absent` value of `{name}` should broadcast to one sample of shape "
            f"{tuple(sample)}; found {tuple(value.shape)}. Leave out the batch axis and match "
            "the sample's shape."
        )


class AbsentValues(nn.Module):
    """The absent value of every modality.

    Args:
        modalities: Names, in order.
        absent: One :class:`Absence` for all, a mapping from modality to an absence (or to a
            pytree of them), or None for :class:`Zeros` throughout. Modalities left out of a
            mapping get zeros.

    Raises:
        ValueError: If a name is no modality.
        TypeError: If something is no absence.
    """

    def __init__(
        self, modalities: Sequence[str], absent: Absence | Mapping[str, PyTree] | None = None
    ) -> None:
        super().__init__()
        given = absent if isinstance(absent, Mapping) else dict.fromkeys(modalities, absent)
        for name in given:
            if name not in modalities:
                raise ValueError(
                    f"`absent` should name modalities, which are {', '.join(modalities)}; "
                    f"found {name!r}.{suggestion(name, modalities)}"
                )
        trees = [Zeros() if given.get(name) is None else given[name] for name in modalities]
        flat = [pytree.tree_flatten(tree) for tree in trees]
        for name, (leaves, _) in zip(modalities, flat, strict=True):
            for leaf in leaves:
                if not isinstance(leaf, Absence):
                    raise TypeError(
                        f"`absent` for modality {name!r} should be an Absence or a pytree of them; "
                        f"found {described(leaf)}. Wrap a fixed value as `absence.Constant(value)`."
                    )
        self.modalities = tuple(modalities)
        self.leaves = nn.ModuleList(nn.ModuleList(leaves) for leaves, _ in flat)
        # The forms as pytrees of numbers: PyTorch's own descriptions of trees cannot be copied.
        self.forms = [pytree.tree_unflatten(range(len(leaves)), form) for leaves, form in flat]

    def varies(self, index: int) -> bool:
        """Return whether the absent rows of a modality differ from each other."""
        return any(leaf.varies for leaf in self._leaves(index))

    def forward(self, index: int, value: PyTree) -> PyTree:
        """Return what stands in for modality number ``index``, whose batch is ``value``."""
        form = self.forms[index]
        if isinstance(value, Tensor) and isinstance(form, int):  # by far the most frequent
            return self._fill(index, self._leaves(index)[0], value)
        leaves, structure = pytree.tree_flatten(value)
        absences = self._leaves(index)
        if isinstance(form, int):
            absences = absences * len(leaves)
        elif pytree.tree_structure(form) != structure:
            raise ValueError(
                f"`absent` for modality {self.modalities[index]!r} should have the form of the "
                f"modality, {_shown(value)}; found {_shown(form)}. Give one absence, or one for "
                "each tensor in the same pytree."
            )
        filled = [
            self._fill(index, absence, leaf) if isinstance(leaf, Tensor) else leaf
            for absence, leaf in zip(absences, leaves, strict=True)
        ]
        return pytree.tree_unflatten(filled, structure)

    def _fill(self, index: int, absence: Absence, leaf: Tensor) -> Tensor:
        try:
            filled: Tensor = absence(leaf)
        except (ValueError, TypeError) as error:
            raise type(error)(f"modality {self.modalities[index]!r}: {error}") from None
        if filled.shape != leaf.shape:
            raise ValueError(
                f"`absent` for modality {self.modalities[index]!r} should return the shape of its "
                f"input, {tuple(leaf.shape)}; found {tuple(filled.shape)} from "
                f"{type(absence).__name__}. Broadcast it to the whole batch."
            )
        return filled

    def _leaves(self, index: int) -> list[Any]:
        # Twice as fast as the lists' own indexing, and asked several times a step.
        leaves: Any = self.leaves._modules[str(index)]
        return list(leaves._modules.values())
