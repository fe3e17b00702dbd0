"""Whether a model computes the same in train mode as in eval mode, in which its coalitions run.

Dropout differs, and is meant to; PyTorch's batch-norm differs, and coalitions use its statistics
of the full pass. What else differs is the user's own, a batch normalisation written by hand say,
and of that the coalitions see another network than the one that is trained.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.dropout import _DropoutNd

from counterpoise.core.pytree import map_tensors, tensors
from counterpoise.core.scores import is_distributed
from counterpoise.engine.agreement import are_probabilities
from counterpoise.engine.attributes import buffers_kept
from counterpoise.engine.batch import Batch
from counterpoise.engine.checkpointing import NoCheckpoints
from counterpoise.engine.evaluator import Evaluator
from counterpoise.engine.inspection import in_high_precision
from counterpoise.engine.modes import modules_of, set_mode
from counterpoise.engine.setup import Facts, Setup
from counterpoise.engine.statistics import Within, normalisations

logger = logging.getLogger(__name__)

_BY_CHANCE = (_DropoutNd, nn.MultiheadAttention, nn.RNNBase)
"""Layers of PyTorch that differ by their dropout alone."""

_KIND = "the kind of output"

_APART = (
    "Training may drive the two apart, so that accuracy in eval mode falls and the loss looks fine."
)


def check_modes(setup: Setup, model: nn.Module, batch: Batch, *, backward: bool) -> None:
    """Warn, or raise, where coalitions are not those of the model in train mode.

    What is random in train mode is not judged: nobody could tell.

    Args:
        setup: How coalitions are evaluated.
        model: The user's module, about to train; it is left as it was.
        batch: To run it on.
        backward: Whether training goes backward through coalitions, which is worth a warning.

    Raises:
        ValueError: If it returns logits in train mode, and probabilities in eval mode.
    """
    batch_statistics = setup.statistics == "batch"
    if backward and not batch_statistics:
        _warn_of_statistics(model)
    trained = [module for module in modules_of(model) if module.training]
    setup = replace(setup, level="inputs", heads={})
    look = partial(_difference, setup, model, trained, backward and batch_statistics)
    try:
        found = in_high_precision(model, batch, look)
    except Exception as error:  # which the step itself will raise, and say better
        logger.info("Train and eval mode are not compared: the model raised %r.", error)
        return
    if found == _KIND:
        raise ValueError(
            "The model should return the same kind of output in train and in eval mode; found "
            "probabilities in eval mode and logits in train mode. Return logits in both, and take "
            "the softmax outside the model."
        )
    if found:
        warnings.warn(
            "The model should compute the same in train and in eval mode, but for dropout and for "
            f"PyTorch's own normalisation layers; found that {found} does not. Coalitions run in "
            "eval mode: where it normalises with statistics of its batch, they are normalised "
            f"otherwise than the full pass. {_APART} Make it a subclass of torch.nn.BatchNorm1d, "
            "or of its kin, that calls torch.nn.functional.batch_norm; if it differs for another "
            "reason, and is meant to, ignore this warning.",
            stacklevel=8,
        )


def _warn_of_statistics(model: nn.Module) -> None:
    layers = normalisations(modules_of(model))
    if layers:
        warnings.warn(
            "The model normalises with batch statistics, and its other coalitions, as published, "
            f'with running ones (statistics="running"; a {type(layers[0]).__name__}). {_APART} '
            'Leave `coalitions` to its default, or pass cp.Coalitions(statistics="batch"), unless '
            "the published numbers are what you want.",
            stacklevel=9,
        )


@torch.no_grad()
def _difference(
    setup: Setup, model: nn.Module, trained: Sequence[nn.Module], names: bool, batch: Batch
) -> str:
    """Return what differs: the kind of output, or the innermost module whose own code does.

    Nothing where nothing is known to, and, unless it is to be named, of all but the kind.
    """
    with buffers_kept(model, attributes=True), _trained_without_dropout(trained):
        passes = _Passes(setup, model, batch)
        full, aside = passes.full(), passes.aside()
        apart = is_distributed()  # where all processes are to make the same passes
        by_chance = apart and not _same(full, passes.full())
        if are_probabilities(aside) and not are_probabilities(full):
            return _KIND
        if not names or _same(full, aside):
            return ""
        if apart:
            return "" if by_chance else f"a part of the {type(model).__name__}"
        runs: list[list[_Call]] = []
        for run in (passes.full, passes.full, passes.aside):
            with _listening(model) as seen:
                run()
            runs.append(seen)
    nothing = _Call("", None, None)
    for once, twice, aside in zip_longest(*runs, fillvalue=nothing):
        if not (once.path == twice.path and _same(once.output, twice.output)):
            return ""  # by chance, and so is all that follows
        if not (once.path == aside.path and _same(once.output, aside.output)):
            path = _within(once.path, runs[0], runs[2])
            kind = type(model.get_submodule(path)).__name__
            return f"{path!r}, a {kind}," if path else f"the {kind} itself"
    return ""


def _within(path: str, run: Sequence[_Call], other: Sequence[_Call]) -> str:
    """Return the module around a path that is given the same in both runs: its code differs."""
    given, others = ({c.path: c.given for c in reversed(calls)} for calls in (run, other))
    while path and not (path in given and path in others and _same(given[path], others[path])):
        path = path.rpartition(".")[0]
    return path


class _Passes:
    """The full pass, as in training, and the same coalition as the others are run."""

    def __init__(self, setup: Setup, model: nn.Module, batch: Batch) -> None:
        self._of = partial(Evaluator, setup, Facts(), model, batch)
        self._batch, self._evaluator = batch, self._of()

    def full(self) -> Tensor:
        self._evaluator = self._of()
        return self._evaluator.full()[1]

    def aside(self) -> Tensor:
        with self._evaluator.aside():
            return self._evaluator.logits(self._batch.whole())


class _Call(NamedTuple):
    """One call of a module: where it is in the model, what it was given, what it returned."""

    path: str
    given: Any
    output: Any


@contextmanager
def _trained_without_dropout(modules: Sequence[nn.Module]) -> Iterator[None]:
    """Put modules into train mode for a while; dropout drops nothing."""
    chosen = [module for module in modules if not isinstance(module, _BY_CHANCE)]
    attention, fast = F.scaled_dot_product_attention, torch.backends.mha.get_fastpath_enabled()

    def sure(*args: Any, **settings: Any) -> Any:
        settings |= {} if len(args) > 4 else {"dropout_p": 0.0}
        return attention(*args[:4], *(0.0 for _ in args[4:5]), *args[5:], **settings)

    set_mode(chosen, training=True)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            Within(F.dropout, lambda x, *settings, **more: x),
            Within(attention, sure),
            NoCheckpoints(),  # which warn where no gradient is asked for
        ):
            yield
    finally:
        set_mode(chosen, training=False)
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def _listening(model: nn.Module) -> Iterator[list[_Call]]:
    """Note what each module is given and returns, innermost first."""
    seen: list[_Call] = []

    def note(path: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        seen.append(_Call(path, *map_tensors(torch.clone, ((args, kwargs), output))))

    handles = [
        m.register_forward_hook(partial(note, path), with_kwargs=True)
        for path, m in model.named_modules()
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _same(tree: Any, other: Any) -> bool:
    """Return whether trees hold the same numbers but for rounding."""
    pairs = zip_longest(tensors(tree), tensors(other))
    return all(a is not None and b is not None and _close(a, b) for a, b in pairs)


def _close(a: Tensor, b: Tensor) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    finite = a.isfinite() & b.isfinite()
    a, b = a[finite], b[finite]
    size = float(a.abs().max()) if len(a) else 0.0
    return torch.allclose(a, b, rtol=0, atol=torch.finfo(a.dtype).eps ** 0.5 * size)
