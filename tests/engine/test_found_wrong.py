"""What was once found wrong, each as what must hold: right, or refused in words.

The kinds of the zoo are trained some steps against its oracle here too, under the name of what
had gone wrong with them.
"""

import gc
import warnings
import weakref
from copy import deepcopy

import pytest
import torch
from torch import nn

import counterpoise as cp
from zoo import huggingface
from zoo.judging import KINDS, PRECISIONS, judge
from zoo.kinds import CLASSES, ROWS, THREE, Concat, head, vectors
from zoo.refusals import CLOSE, LEVELS, REFUSAL, REPLAYING, assert_refuses, made, wrap

FOUND = {
    "half precision: a fusion of three taken for a sum": (
        ("maxout-of-three", "concat-mlp-of-three", "transformer-over-three-modalities"),
        "bfloat16",
    ),
    "half precision: rows that see each other taken for independent ones": (
        ("centred-over-the-batch", "attention-over-rows", "rows-mixed-with-own-weights"),
        "bfloat16",
    ),
    "masked logits: every comparison is vacuous beside -1e9, and -inf gives NaN for ever": (
        (
            "class-mask-low",
            "class-mask-infinite",
            "class-always-masked-low",
            "class-always-masked-infinite",
        ),
        "float32",
    ),
    "masks beside the modalities: the first row's is used for all": (
        ("mask-beside", "mask-behind", "hf-bert-and-vit-mask-beside"),
        "float64",
    ),
    "lengths beside the modalities: the first row's is used for all": (
        ("lengths-beside", "gru-packed-through"),
        "float64",
    ),
    "paths that are zero at first couple modalities once trained": (
        ("silent-skip", "silent-gate", "silent-film"),
        "float64",
    ),
    "interactions that only the model's own weights show": (
        ("active-with-own-weights", "rows-mixed-with-own-weights"),
        "float64",
    ),
    "caps and thresholds that the first batch does not reach": (
        ("cap-reached-later", "threshold-reached-later"),
        "float64",
    ),
    "a rest that is constant under random weights": (("constant-under-random-weights",), "float64"),
    "switches among other keywords": (("switched-by-number", "switched-by-word"), "float64"),
    "checkpoints that run again on the way back": (
        ("reentrant-encoder", "reentrant-all-with-batchnorm", "checkpointed-all-with-dropout"),
        "float64",
    ),
    "steps before rows, as many as rows": (("lstm-steps-first-as-many-as-rows",), "float64"),
    "NaN in the first batch": (("nan-in-the-first-batch",), "float64"),
    "containers that PyTorch knows, at all levels": (
        ("nested-features", "hf-bert-and-vit", "hf-vilt"),
        "float32",
    ),
    "packed sequences into an encoder and out of it": (
        ("lstm-packed-within", "gru-packed-through"),
        "float32",
    ),
    "parameters of integers, of eight bits, or without a row": (
        ("odd-parameters", "quantised-encoders"),
        "float32",
    ),
    "an encoder that training skips, and one that eval mode calls twice": (
        ("encoder-skipped-in-training", "encoder-twice-in-eval"),
        "float32",
    ),
    "tuples in training and tensors in eval mode": (("returns-tuple-in-training",), "float32"),
}


def found():
    """List kinds by what was wrong with them and level."""
    for wrong, (names, precision) in FOUND.items():
        for name in names:
            missing = huggingface.hf is None and name in huggingface.KINDS
            marks = pytest.mark.skipif(missing, reason="transformers is not installed")
            for level in LEVELS:
                label = f"{wrong}-{name}-{level}"
                yield pytest.param(name, level, precision, id=label, marks=marks)


@pytest.mark.parametrize(("name", "level", "precision"), list(found()))
def test_is_right_or_refused_at_each_of_five_steps(name, level, precision):
    kind = KINDS[name]
    ended = judge(kind, level, PRECISIONS[precision], num_steps=5)
    assert ended == "right" or level in kind.refusable


# -- the inspection --------------------------------------------------------------------------------


class Passes:
    """Counts the passes of a model and the rows that they saw."""

    def __init__(self, model):
        self.count = self.rows = 0
        model.register_forward_pre_hook(self._note, with_kwargs=True)

    def _note(self, model, args, kwargs):
        self.count += 1
        self.rows += len(kwargs["ear"])


class Labelled(nn.Module):
    """Takes a clip's name and makes nothing of it."""

    def __init__(self):
        super().__init__()
        self.rest = head(3)

    def forward(self, *features, clip):
        return self.rest(*features)


class Clip(str):
    """A name that can be asked whether anybody keeps it."""


@pytest.mark.parametrize("level", LEVELS)
def test_a_name_that_changes_each_batch_is_not_inspected_for_ever_nor_kept(level):
    model = made(Labelled, THREE)
    passes, balanced = Passes(model), wrap(model, level, names=THREE)
    counts, kept = [], []
    for step in range(60):
        inputs, target, _ = vectors(THREE)(step)
        clip = Clip(f"clip-{step}")
        kept.append(weakref.ref(clip))
        before = passes.count
        balanced(**inputs, target=target, clip=clip)
        counts.append(passes.count - before)
        del clip
    gc.collect()
    assert counts[40:] == [min(counts)] * 20
    assert sum(ref() is not None for ref in kept) <= 20


def test_joint_training_is_one_pass_a_step_without_an_inspection():
    model = made(lambda: head(3), THREE)
    passes, balanced = Passes(model), wrap(model, "shared", names=THREE, method=cp.Joint())
    for step in range(5):
        inputs, target, _ = vectors(THREE)(step)
        balanced(**inputs, target=target)
    assert (passes.count, passes.rows) == (5, 5 * ROWS)


class Changeable(nn.Module):
    """A sum, until an attribute of the model is set."""

    def __init__(self):
        super().__init__()
        self.sum, self.coupled, self.mixing = Concat(nn.Linear(18, CLASSES)), head(3), 0.0

    def forward(self, *features):
        return self.sum(*features) + self.mixing * self.coupled(*features)


class Centring(nn.Module):
    """Treats rows independently, until an attribute of the model is set."""

    def __init__(self):
        super().__init__()
        self.coupled, self.mixing = head(3), 0.0

    def forward(self, *features):
        return self.coupled(*[f - self.mixing * f.mean(dim=0) for f in features])


@pytest.mark.parametrize("level", REPLAYING)
@pytest.mark.parametrize("rest", [Changeable, Centring])
def test_a_conclusion_that_no_longer_holds_is_dropped_with_one_warning_at_most(rest, level):
    model = made(rest, THREE)
    balanced = wrap(model, level, names=THREE)
    given = []
    for step in range(40):
        inputs, target, _ = vectors(THREE)(step)
        if step == 5:
            model.rest.mixing = 1.0
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            out = balanced(**inputs, target=target)
        given += [str(w.message) for w in caught]
    assert len(given) <= 1, given
    assert all(REFUSAL.search(words) for words in given)
    whole = wrap(deepcopy(model), "inputs", names=THREE)
    torch.testing.assert_close(out.responses, whole(**inputs, target=target).responses, **CLOSE)


class Calibrated(nn.Module):
    """Returns logits in training and probabilities in eval mode."""

    def __init__(self):
        super().__init__()
        self.rest = head()

    def forward(self, *features):
        logits = self.rest(*features)
        return logits if self.training else logits.softmax(dim=1)


@pytest.mark.parametrize("level", LEVELS)
def test_probabilities_in_eval_mode_beside_logits_in_training_are_refused(level):
    balanced = wrap(made(Calibrated), level)
    inputs, target, _ = vectors()(0)
    assert_refuses(lambda: balanced(**inputs, target=target), "eval mode")
