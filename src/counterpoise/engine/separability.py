"""What a model's logits are made of, by the operations that make them.

Are they a sum of what each modality gives? Then modalities alone tell the values of all coalitions,
M passes in place of 2^M - 1. Do they depend on more than the encoders' outputs? Then a longer
batch needs the inputs of each coalition. Numbers cannot show either for good: a path may be closed
by weights that are zero today, or open for inputs alone that no batch has held yet. So it is the
operations that are looked at. Every tensor is marked with what it depends on; for a sum, what
depends on several modalities has to have been made of the parts by linear operations alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
        of_inputs: Whether it depends on what encoders are given, and not by their outputs alone.
        of_features: Whether it depends on the encoders' outputs.
    """

    modalities: frozenset[int] = frozenset()
    is_sum: bool = True
    of_inputs: bool = False
    of_features: bool = False


class Structure(NamedTuple):
    """What operations show about logits.

    Attributes:
        is_sum: Whether they are a sum of functions of one modality each, whatever the weights.
        of_inputs: Whether they depend on the inputs, other than by the encoders' outputs.
        decides: Whether the model looks at numbers that are made of these outputs, by which it
            may decide what to compute: for all rows of a batch at once.
    """

    is_sum: bool = False
    of_inputs: bool = True
    decides: bool = False


_LEAVING = (Tensor.numpy, Tensor.tolist, Tensor.__array__, Tensor.__dlpack__)
"""What is computed of their results no mode sees."""


class _Doors(TorchFunctionMode):
    """Notes whether numbers leave PyTorch."""

    def __init__(self, tracer: _Tracer) -> None:
        super().__init__()
        self._tracer = tracer

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in _LEAVING:
            self._tracer.look(args[:1])
        return func(*args, **(kwargs or {}))


class _Tracer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Marks every tensor with its origin, by the memory that it lies in."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.origins: dict[int, _Origin] = {}
        self.opaque = self.decides_by_inputs = self.decides = False
        self._kept: list[Any] = []  # memory that is freed would be given to another tensor

    def mark(self, trees: Mapping[int, PyTree], *, of_inputs: bool) -> None:
        for modality, tree in trees.items():
            for tensor in tensors(tree):
                members = frozenset([modality])
                self._mark(tensor, _Origin(members, True, of_inputs, not of_inputs))

    def look(self, given: Sequence[Any]) -> None:
        """Note that what the model does may depend on numbers that it looked at."""
        self.opaque = True
        self.decides_by_inputs |= any(self.origin(t).of_inputs for t in given)
        self.decides |= any(self.origin(t).of_features for t in given)

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
            self.look(given)
        if origin.modalities:
            made = [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
            written = given[:1] if name.endswith("_") else []
            for tensor in (*made, *written):
                self._mark(tensor, origin)
        return result

    def _made_by(self, func: Any, given: list[Tensor], args: tuple[Any, ...]) -> _Origin:
        origins = [origin for t in given if (origin := self.origin(t)).modalities]
        name = func.overloadpacket.__name__.rstrip("_")
        if not origins or name.endswith("_like") or name.startswith("new_"):
            return _Origin()  # of a shape alone, where a tensor is only the pattern of another
        modalities = frozenset().union(*(origin.modalities for origin in origins))
        of_inputs = any(origin.of_inputs for origin in origins)
        of_features = any(origin.of_features for origin in origins)
        if len(modalities) == 1:
            return _Origin(modalities, True, of_inputs, of_features)
        chosen_by = [t for t in given if not t.is_floating_point()]
        constant_choice = not any(self.origin(t).modalities for t in chosen_by)
        linear = name in _LINEAR or self._is_linear_product(name, args)
        linear = linear or self._is_affine_norm(name, args)
        is_sum = linear and constant_choice and all(o.is_sum for o in origins)
        return _Origin(modalities, is_sum, of_inputs, of_features)

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
            origin = _Origin(
                origin.modalities | old.modalities,
                origin.is_sum and old.is_sum,
                origin.of_inputs or old.of_inputs,
                origin.of_features or old.of_features,
            )
        self.origins[storage._cdata] = origin
        self._kept.append(storage)


def structure(
    run: Callable[[], Tensor], features: Mapping[int, PyTree], inputs: Mapping[int, PyTree]
) -> Structure:
    """Find out what the logits that a function returns are made of.

    Args:
        run: Runs the model on features that are replayed, without gradient.
        features: By modality, what its encoder returned, in memory of its own.
        inputs: By modality, what the model is given.

    Returns:
        A sum only if the operations that were run show it, and inputs that they show.
    """
    tracer = _Tracer()
    tracer.mark(features, of_inputs=False)
    tracer.mark(inputs, of_inputs=True)
    with _Doors(tracer), tracer:
        logits = run()
    origin = tracer.origin(logits)
    whole = origin.modalities == features.keys()
    return Structure(
        not tracer.opaque and origin.is_sum and whole,
        tracer.decides_by_inputs or origin.of_inputs,
        tracer.decides,
    )
