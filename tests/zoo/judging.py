"""Trains a kind of model and holds every step against the oracle.

A run is right throughout, or refused by an error that teaches; anything else fails.
"""

import warnings
from contextlib import nullcontext
from copy import deepcopy
from typing import NamedTuple

import torch
from torch.nn import functional as F

import counterpoise as cp
from zoo import (
    conditional,
    fusions,
    huggingface,
    imaged,
    normalised,
    published,
    sequences,
    training,
)
from zoo.kinds import Batch
from zoo.oracle import Oracle
from zoo.refusals import REFUSAL

EXACT = 1e-6
"""Below this tolerance each parameter's gradient is compared by itself too."""

HUGE = 1e6
"""Beyond this, a number is a mask."""

LEVELS = ("inputs", "features", "shared")
ALPHA, CLAMP, RATE = 0.7, 1.2, 0.05
"""Coefficients lie between 0.43 and 2.3: they matter at every step, and none breaks training."""

KINDS = {
    name: kind
    for family in (
        fusions,
        normalised,
        sequences,
        conditional,
        training,
        published,
        imaged,
        huggingface,
    )
    for name, kind in family.KINDS.items()
}


class Precision(NamedTuple):
    """How finely a run computes.

    Attributes:
        dtype: Of weights and data.
        autocast: Of the passes; None for that of the weights.
        tolerance: Distance from the oracle, relative to its norm.
    """

    dtype: torch.dtype
    autocast: torch.dtype | None
    tolerance: float


PRECISIONS = {
    "float64": Precision(torch.float64, None, 1e-9),
    "float32": Precision(torch.float32, None, 1e-4),
    # Beside this, what half precision itself costs the oracle: see `spread`.
    "bfloat16": Precision(torch.float32, torch.bfloat16, 2**-7),
}


def wrap(model, kind, level, statistics="batch", **options):
    """Wrap a model of a kind for judging: the one place that knows the calling form."""
    encoders = kind.encoders if level != "inputs" else {}
    names = tuple(kind.batch(0).inputs)
    modalities = {
        name: cp.Modality(encoder=encoders.get(name), absent=absence(name, kind)) for name in names
    }
    options.setdefault("method", cp.AGM(alpha=ALPHA, clamp=CLAMP))
    return cp.Balanced(
        model,
        modalities,
        coalitions=cp.Coalitions(level=level, statistics=statistics),
        select=kind.select,
        **options,
    )


def absence(name, kind):
    """Return what stands in for a modality: zeros, but for the leaves that are kept."""
    value = kind.batch(0).inputs[name]
    if isinstance(value, dict):
        return {
            key: cp.absence.Keep() if f"{name}.{key}" in kind.keep else cp.absence.Zeros()
            for key in value
        }
    return cp.absence.Zeros()


def judge(kind, level, precision, *, statistics="batch", num_steps):
    """Return "right" or "refused", how a training run of a kind of model ends.

    Raises:
        AssertionError: If a number is wrong, an error says nothing, or there are more warnings
            than the one that a run may give.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            for _ in judged_steps(kind, level, precision, statistics, num_steps):
                pass
            outcome = "right"
        except (ValueError, TypeError, RuntimeError) as error:
            if not REFUSAL.search(str(error)):
                raise
            outcome = "refused"
    own = [w for w in caught if "counterpoise" in str(w.filename) or REFUSAL.search(str(w.message))]
    assert len(own) <= 1, [str(w.message) for w in own]
    return outcome


def judged_steps(kind, level, precision, statistics, num_steps):
    """Train, hold each step against the oracle, and yield what came out."""
    model = made(kind, precision.dtype)
    balanced = wrap(model, kind, level, statistics)
    oracle = Oracle(
        kind.batch(0).inputs,
        alpha=ALPHA,
        clamp=CLAMP,
        statistics=statistics,
        encoders=kind.encoders if level == "shared" else None,
        keep=kind.keep,
        select=kind.select,
        twin=kind.twin,
        autocast=precision.autocast,
    )
    for step in range(num_steps):
        batch = cast(kind.batch(step), precision.dtype)

        def again(function, *args, step=step):
            # What is lazy cannot be copied before its first call, and is made again instead.
            copy = made(kind, precision.dtype) if step == 0 else deepcopy(model)
            copy.zero_grad()
            torch.default_generator.manual_seed(step)
            return function(copy, *args)

        verdict = again(oracle.step, *batch)
        finer = again(oracle.in_full_precision().step, *batch) if precision.autocast else verdict
        tolerances = spread(verdict, finer, precision.tolerance)
        buffers = again(plain_step, kind, batch, precision)
        balanced.zero_grad()
        torch.default_generator.manual_seed(step)
        with half(precision):
            out = balanced(**batch.inputs, **batch.others, target=batch.target)
        out.loss.backward()
        compare(step, model, out, verdict, tolerances)
        compare_buffers(step, model, buffers, tolerances["gradients"])
        oracle.remember(verdict.scores)
        descend(model)
        yield out


def made(kind, dtype):
    """Return a model of a kind, the same each time, its weights drawn in a type."""
    before = torch.get_default_dtype()
    torch.manual_seed(7)
    torch.set_default_dtype(dtype)  # and not cast afterwards: some weights are of another type
    try:
        return kind.make()
    finally:
        torch.set_default_dtype(before)


def spread(verdict, finer, floor):
    """Return the tolerance of each quantity, from verdicts in a run's precision and a finer one.

    In half precision the engine and the oracle each err by about as much as the oracle's own two
    precisions differ; three times that, and a floor for quantities that happen to agree.
    """
    quantities = ("responses", "scores", "coefficients")
    gaps = {name: distance(getattr(verdict, name), getattr(finer, name)) for name in quantities}
    gaps["gradients"] = distance(joined(verdict.gradients), joined(finer.gradients))
    return {name: floor + 3 * gap for name, gap in gaps.items()}


def compare(step, model, out, verdict, tolerances):
    """Hold what came out of a step against the verdict."""
    close("logits", step, out.logits, verdict.logits, 0.0)
    close("responses", step, out.responses, verdict.responses, tolerances["responses"])
    close("scores", step, out.scores, verdict.scores, tolerances["scores"])
    kappa = tolerances["coefficients"]
    close("coefficients", step, out.coefficients, verdict.coefficients, kappa)
    gradients = {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in model.named_parameters()
        if p.requires_grad
    }
    limit, norm = tolerances["gradients"], joined(verdict.gradients).norm()
    close("gradients", step, joined(gradients), joined(verdict.gradients), limit)
    for name, expected in verdict.gradients.items() if limit < EXACT else ():
        # A small part of the gradient may not hide behind the whole.
        allowed = limit * (expected.norm() + 0.1 * norm)
        assert not (gradients[name] - expected).norm() > allowed, f"step {step}: {name}"


def plain_step(model, kind, batch, precision):
    """Return the buffers of a model after a step of joint training, forwards and backwards.

    Backwards too, because checkpointing moves running statistics once more on its way back.
    """
    with half(precision):
        output = model(**batch.inputs, **batch.others)
        logits = output if kind.select is None else kind.select(output)
        F.cross_entropy(logits, batch.target).backward()
    return dict(model.named_buffers())


def compare_buffers(step, model, expected, tolerance):
    """Hold the buffers after a step against those after a step of joint training."""
    for name, buffer in model.named_buffers():
        assert buffer.shape == expected[name].shape, f"step {step}: shape of {name}"
        close(f"buffer {name}", step, buffer, expected[name], tolerance)


def half(precision):
    """Return the context of the passes in a precision."""
    return torch.autocast("cpu", precision.autocast) if precision.autocast else nullcontext()


def close(what, step, found, expected, tolerance):
    """Assert that a distance is within a tolerance, inf and NaN in the same places."""
    found, expected = wide(found), wide(expected)
    assert found.shape == expected.shape, f"step {step}: shape of {what}"
    same = torch.equal(found.isfinite(), expected.isfinite())
    assert same, f"step {step}: {what} is not finite in other places"
    gap = distance(found, expected)
    assert gap <= tolerance, f"step {step}: {what} off by {gap:.2g}, at most {tolerance:.2g}"


def distance(found, expected):
    """Return the distance of two tensors relative to the norm of the second.

    Entries that are not finite are compared by :func:`close`; huge ones, such as masked logits,
    would hide all others behind their norm and are looked at one by one.
    """
    found, expected = wide(found), wide(expected)
    finite = expected.isfinite() & found.isfinite()
    huge = finite & (expected.abs() > HUGE)
    ordinary = finite & ~huge
    gap = (found - expected)[ordinary].norm() / expected[ordinary].norm().clamp_min(1e-12)
    far = ((found - expected)[huge] / expected[huge]).abs()
    return max([gap.item(), *far.tolist()])


def wide(numbers):
    """Return numbers as a tensor of double precision."""
    if isinstance(numbers, torch.Tensor):
        return numbers.detach().double()
    return torch.tensor(numbers, dtype=torch.float64)


def joined(gradients):
    """Return gradients as one vector."""
    return torch.cat([g.flatten() for g in gradients.values()])


def descend(model):
    """Take a step down the gradient, clipped to a norm of 1, where it is finite."""
    parameters = [p for p in model.parameters() if p.grad is not None]
    norm = torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    if norm.isfinite():
        with torch.no_grad():
            for p in parameters:
                p -= RATE * p.grad


def cast(batch, dtype):
    """Return a batch with floating-point data of a type."""

    def change(value):
        if isinstance(value, dict):
            return {key: change(leaf) for key, leaf in value.items()}
        floating = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value.to(dtype) if floating else value

    return Batch(change(batch.inputs), batch.target, change(dict(batch.others)))
