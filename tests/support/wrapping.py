"""Wrapping a network at each level, and watching what that costs."""

import torch

import counterpoise as cp

LEVELS = ("inputs", "features", "shared")


def wrap(model, level="inputs", method=None, **options):
    """Wrap a network that knows its ``names`` and ``encoders``, naming encoders where needed."""
    encoders = None if level == "inputs" else model.encoders
    method = cp.AGM(alpha=1.7, clamp=10.0) if method is None else method
    return wrap_parts(model, model.names, method, encoders=encoders, coalitions=level, **options)


def gradients(module):
    """Return a copy of each parameter's gradient, None where there is none."""
    named = module.named_parameters()
    return {name: None if p.grad is None else p.grad.clone() for name, p in named}


def assert_same(found, expected):
    """Compare two mappings of tensors bit for bit."""
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        other = expected[name]
        same = tensor is other if tensor is None or other is None else torch.equal(tensor, other)
        assert same, name


def plain_step(model, inputs, target):
    """Leave the plain joint gradient in a model's parameters; return its logits."""
    logits = model(**inputs)
    torch.nn.functional.cross_entropy(logits, target).backward()
    return logits


class Calls:
    """Notes the rows that each call of a module sees, and its mode, until the block ends."""

    def __init__(self, module):
        self.module, self.notes = module, []

    def __enter__(self):
        def note(module, args, kwargs):
            first = next(iter((*args, *kwargs.values())))
            self.notes.append((len(first), "train" if module.training else "eval"))

        self.handle = self.module.register_forward_pre_hook(note, with_kwargs=True)
        return self.notes

    def __exit__(self, *exception):
        self.handle.remove()


def wrap_parts(
    model,
    names,
    method=None,
    *,
    encoders=None,
    heads=None,
    branches=None,
    absent=None,
    coalitions=None,
    statistics="running",
    attribution="shapley",
    sampling=None,
    **options,
):
    """Wrap a model whose parts are given by kind, each a mapping from modality to path.

    Coalitions run as published, in eval mode, unless ``statistics`` says otherwise.
    """
    parts = {"encoder": encoders, "head": heads, "branch": branches}
    absences = absent if isinstance(absent, dict) else dict.fromkeys(names, absent)
    unknown = {name for part in (*parts.values(), absences) for name in part or {}} - set(names)
    assert not unknown, unknown
    modalities = {
        name: cp.Modality(
            **{kind: part[name] for kind, part in parts.items() if part and name in part},
            absent=absences.get(name),
        )
        for name in names
    }
    level = coalitions or ("features" if encoders else "inputs")
    how = cp.Coalitions(level, statistics, attribution, sampling)
    return cp.Balanced(model, modalities, method, coalitions=how, **options)
