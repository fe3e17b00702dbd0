"""Whether a model's logits are a sum of what each modality gives, by the structure of the model.

Then modalities alone tell the values of all coalitions, M passes in place of 2^M - 1. Numbers
cannot show it for good: a path may be closed by weights that are zero today. So it is the
operations that are looked at. Every tensor is marked with the modalities that it depends on; what
depends on several has to have been made of the parts by linear operations alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from counterpoise.core.pytree import PyTree, tensors

_LINEAR = frozenset(
    [
        "add",
        "sub",
        "rsub",
        "neg",
        "cat",
        "stack",
        "sum",
        "mean",
        "clone",
        "alias",
        "detach",
        "view",
        "reshape",
        "_reshape_alias",
        "_unsafe_view",
        "expand",
        "permute",
        "transpose",
        "t",
        "unsqueeze",
        "squeeze",
        "slice",
        "select",
        "split",
        "split_with_sizes",
        "unbind",
        "unfold",
        "diagonal",
        "as_strided",
        "contiguous",
        "_to_copy",
        "lift_fresh",
        "copy",
        "flip",
        "roll",
        "repeat",
        "constant_pad_nd",
        "index_select",
        "gather",
        "index",
        "where",
        "masked_fill",
        "fill",
        "zero",
        "avg_pool1d",
        "avg_pool2d",
        "avg_pool3d",
        "_adaptive_avg_pool2d",
        "_adaptive_avg_pool3d",
        "_native_batch_norm_legit_no_training",
    ]
)
"""Linear in all their tensors together, as long as what chooses (indices, masks) is not one."""

_FIRST_TWO = dict.fromkeys(
    [
        "mul",
        "mm",
        "bmm",
        "mv",
        "dot",
        "linear",
        "convolution",
        "_convolution",
        "mkldnn_linear",
        "mkldnn_convolution",
    ],
    (0, 1),
)
_AFTER_A_SUMMAND = dict.fromkeys(["addmm", "addmv", "baddbmm", "addbmm", "addcmul"], (1, 2))
_FACTORS: dict[str, tuple[int, int]] = {**_FIRST_TWO, **_AFTER_A_SUMMAND, "div": (0, 1)}
"""Places of the two factors of a product, which is linear in one while the other is constant."""


class _Origin(NamedTuple):
    """What a tensor depends on.

    Attributes:
        modalities: Indices of the modalities.
        is_sum: Whether its entries are sums of functions of one modality each.
    """

    modalities: frozenset[int] = frozenset()
    is_sum: bool = True


_LEAVING = (Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.__dlpack__)
"""What is computed of their results no mode sees."""


class _Doors(TorchFunctionMode):
    """Notes whether numbers leave PyTorch."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = False

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.opened = self.opened or func in _LEAVING
        return func(*args, **(kwargs or {}))


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Marks every tensor with its origin, by the memory that it lies in."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.origins: dict[int, _Origin] = {}
        self.opaque = False
        self._kept: list[Any] = []  # memory that is freed would be given to another tensor

    def mark(self, tree: PyTree, modality: int) -> None:
        for tensor in tensors(tree):
            self._mark(tensor, _Origin(frozenset([modality])))

    def origin(self, tensor: Tensor) -> _Origin:
        return self.origins.get(tensor.untyped_storage()._cdata, _Origin())

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        origin = self._made_by(func, given, args)
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "is_nonzero", "equal"):
            self.opaque = True  # what the model does may depend on a number that it looked at
        if origin.modalities:
            made = [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
            written = given[:1] if name.endswith("_") else []
            for tensor in (*made, *written):
                self._mark(tensor, origin)
        return result

    def _made_by(self, func: Any, given: list[Tensor], args: tuple[Any, ...]) -> _Origin:
        origins = [origin for t in given if (origin := self.origin(t)).modalities]
        if not origins:
            return _Origin()
        modalities = frozenset().union(*(origin.modalities for origin in origins))
        if len(modalities) == 1:
            return _Origin(modalities)
        name = func.overloadpacket.__name__.rstrip("_")
        chosen_by = [t for t in given if not t.is_floating_point()]
        constant_choice = not any(self.origin(t).modalities for t in chosen_by)
        linear = name in _LINEAR or self._is_linear_product(name, args)
        linear = linear or self._is_affine_norm(name, args)
        return _Origin(modalities, linear and constant_choice and all(o.is_sum for o in origins))

    def _is_affine_norm(self, name: str, args: tuple[Any, ...]) -> bool:
        """Return whether it is a batch-norm by given statistics, which scales and shifts."""
        return name in ("native_batch_norm", "cudnn_batch_norm") and not args[5]

    def _is_linear_product(self, name: str, args: tuple[Any, ...]) -> bool:
        if name not in _FACTORS:
            return False
        first, second = (
            isinstance(args[place], Tensor) and bool(self.origin(args[place]).modalities)
            for place in _FACTORS[name]
        )
        return not second if name == "div" else not (first and second)

    def _mark(self, tensor: Tensor, origin: _Origin) -> None:
        storage = tensor.untyped_storage()
        old = self.origins.get(storage._cdata)
        if old is not None:  # written into: what was there may still be
            origin = _Origin(origin.modalities | old.modalities, origin.is_sum and old.is_sum)
        self.origins[storage._cdata] = origin
        self._kept.append(storage)


def is_sum(run: Callable[[], Tensor], marked: Mapping[int, PyTree]) -> bool:
    """Find out whether what a function returns is a sum of functions of one modality each.

    Args:
        run: Runs the model on features that are replayed, without gradient.
        marked: By modality, the tensors that are its own: its features and its inputs.

    Returns:
        True only if the operations that were run show it.
    """
    tracer = _Tracer()
    for modality, tree in marked.items():
        tracer.mark(tree, modality)
    with _Doors() as doors, tracer:
        logits = run()
    origin = tracer.origin(logits)
    return (
        not (tracer.opaque or doors.opened)
        and origin.is_sum
        and origin.modalities == frozenset(marked)
    )
