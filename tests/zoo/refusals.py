"""Small wrapped models, and calls that may be refused in words."""

import re

import torch

import counterpoise as cp
from zoo.kinds import Wired, paths, towers

CLOSE = {"rtol": 1e-4, "atol": 1e-6}
LEVELS = ("inputs", "features", "shared")
REPLAYING = LEVELS[1:]

REFUSAL = re.compile(r"should\b.*; found\b.*\. \S", re.DOTALL)
"""An error in the house form: what should be, what was found, what to do."""


def wrap(model, level, *, names=("ear", "eye"), encoders=None, method=None, **options):
    """Wrap a model whose encoders are where ``Wired`` keeps them."""
    encoders = paths(names) if encoders is None else encoders
    modalities = names if level == "inputs" else encoders
    method = cp.AGM(alpha=0.7, clamp=1.2) if method is None else method
    return cp.Balanced(model, modalities, method, coalitions=level, **options)


def made(rest, names=("ear", "eye")):
    """Return vector encoders under a rest, the same each time."""
    torch.manual_seed(5)
    return Wired(towers(names), rest())


def attempt(call):
    """Return what a call returns and None, or None and its refusal; anything else is raised."""
    try:
        return call(), None
    except (ValueError, TypeError, RuntimeError) as error:
        if not REFUSAL.search(str(error)):
            raise
        return None, str(error)


def assert_refuses(call, *words):
    """Assert that a call is refused in a sentence that holds all the words."""
    result, refusal = attempt(call)
    assert refusal is not None, result
    for word in words:
        assert word in refusal


def assert_same_step(found, expected):
    """Hold responses and gradients of two wrapped models' steps against each other.

    Args:
        found: A wrapped model and what a step of it came to.
        expected: The same of another, of the same weights.
    """
    for _, out in (found, expected):
        out.loss.backward()
    torch.testing.assert_close(found[1].responses, expected[1].responses, **CLOSE)
    theirs = dict(expected[0].model.named_parameters())
    for name, parameter in found[0].model.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name].grad, **CLOSE)
