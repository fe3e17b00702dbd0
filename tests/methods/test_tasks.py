"""Tasks and arguments that methods refuse, by name."""

from math import prod

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from support.harness import Run
from support.methods import NAMES
from support.networks import SIZES, batch
from support.table import rows


@pytest.mark.parametrize(
    ("method", "task"),
    [
        (cp.CML(), "regression"),
        (cp.ARL(), "multilabel"),
        (cp.LFM(), "regression"),
        (cp.Windowed(cp.PMR(), 0, 2), "segments"),
        (cp.chain(cp.AGM(), cp.PMR()), "multilabel"),
        (cp.Relearning(), "segments"),
    ],
)
def test_methods_refuse_tasks_that_they_are_not_defined_for(method, task):
    message = rf"`method` should be defined for the task, {task}; found .*, which is for class"
    with pytest.raises(ValueError, match=message):
        cp.methods.check_task(method, task)
    cp.methods.check_task(method, "classification")


class Shaped(nn.Module):
    """A concatenation under a head whose logits are of some shape."""

    def __init__(self, *shape):
        super().__init__()
        torch.manual_seed(5)
        self.shape, self.names = shape, NAMES
        for name, size in zip(NAMES, SIZES, strict=False):
            setattr(self, name, nn.Linear(size, 6))
        self.head = nn.Linear(6 * len(NAMES), prod(shape))

    def forward(self, **inputs):
        features = [getattr(self, name)(inputs[name]) for name in NAMES]
        return self.head(torch.cat(features, dim=1)).unflatten(1, self.shape)


OTHERS = {
    "multilabel": ((4,), cp.scores.BinaryCrossEntropy(), lambda z: z.gt(0).to(z.dtype)),
    "regression": ((1,), cp.scores.SquaredError(), lambda z: z + 0.5),
    "segments": ((4, 5), cp.scores.CrossEntropy(), lambda z: z.argmax(dim=1)),
}


@rows()
@pytest.mark.parametrize("task", OTHERS)
def test_methods_train_on_every_task_that_they_are_defined_for(task, row):
    method = row.make(len(NAMES))
    shape, score, target_of = OTHERS[task]
    model = Shaped(*shape).double()

    def data(seed):
        inputs, _ = batch(len(NAMES), 9, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        return inputs, target_of(torch.randn(9, *shape, generator=generator, dtype=torch.float64))

    paths = {name: cp.Modality(name, branch=(name,)) for name in NAMES}
    run = Run(cp.Balanced(model, paths, method, score=score), data, lr=0.01)
    if task not in method.tasks:
        with pytest.raises(ValueError, match=rf"defined for the task, {task}; found"):
            run.steps(1)
        return
    before = run.weights
    for epoch in range(3):
        method.set_epoch(epoch)
        method.learning_rates()
        run.steps(2)
    assert all(out.loss.isfinite() for out in run.outs)
    moved = {key.split(".")[0] for key, w in run.weights.items() if not torch.equal(w, before[key])}
    assert moved == {*NAMES, "head"}


@pytest.mark.parametrize("method", [cp.LFM, cp.CML, cp.ReconBoost, cp.MCR, cp.ARL])
@pytest.mark.parametrize("shape", [(1,), ()])
def test_one_output_a_sample_is_no_class(method, shape):
    """Its softmax is one whatever it says: there was nothing to learn for ReconBoost."""

    def score(logits, target):
        one = logits.flatten()
        return F.binary_cross_entropy_with_logits(one, target.to(one), reduction="none")

    model = Shaped(*(shape or (1,)))
    paths = {name: cp.Modality(name, branch=(name,)) for name in NAMES}
    select = None if shape else lambda logits: logits.squeeze(1)
    balanced = cp.Balanced(model, paths, method(), score=score, select=select)
    inputs, _ = batch(len(NAMES), 5, dtype=torch.float32)
    found = r"\(5, 1\)" if shape else r"\(5,\)"
    message = rf"two classes or more for {method.__name__}, which is for .* {found}"
    with pytest.raises(ValueError, match=message):
        balanced(**inputs, target=torch.tensor([0, 1, 1, 0, 1]))


def test_an_unknown_task_is_an_error():
    with pytest.raises(ValueError, match=r"`task` should be one of 'classification', 'multilabel'"):
        cp.methods.check_task(cp.AGM(), "clasification")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cp.DGL(alpha=0.0), r"`alpha` should be finite, above 0; found 0\.0"),
        (lambda: cp.ARL(gamma=-1.0), r"`gamma` should be finite, at least 0; found -1\.0"),
        (lambda: cp.ARL(temperature=-1.0), r"`temperature` should be finite, at least 0"),
        (lambda: cp.UMT({}, weight=-1.0), r"`weight` should be finite, at least 0"),
        (lambda: cp.LFM("fit"), r"`mode` should be one of 'fitted', 'learned'; found 'fit'"),
        (lambda: cp.LFM(start=2.0), r"`start` should be .*at most 1; found 2\.0"),
        (lambda: cp.LFM(rate=0.0), r"`rate` should be finite, above 0"),
        (lambda: cp.CML(weight=-1.0), r"`weight` should be finite, at least 0"),
        (lambda: cp.InfoReg(threshold=-1.0), r"`threshold` should be finite, at least 0"),
        (lambda: cp.InfoReg(window=0), r"`window` should be at least 1; found 0"),
        (lambda: cp.MCR(contrast=-1.0), r"`contrast` should be finite, at least 0"),
        (lambda: cp.MCR(temperature=0.0), r"`temperature` should be finite, above 0"),
        (lambda: cp.MLA(0), r"`num_batches` should be at least 1; found 0"),
        (lambda: cp.ReconBoost(stage=0), r"`stage` should be at least 1; found 0"),
        (lambda: cp.ReconBoost(weight=0.5), r"`weight` should be finite, at least 1; found 0\.5"),
        (lambda: cp.Remix(warm_up=-1), r"`warm_up` should be at least 0; found -1"),
        (lambda: cp.Relearning(every=0), r"`every` should be at least 1; found 0"),
        (lambda: cp.Relearning(times=0), r"`times` should be at least 1; found 0"),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_right(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("make", [lambda: cp.MCR(heads="linear"), cp.ReconBoost])
def test_targets_that_are_no_class_labels_are_errors(make):
    method = make()
    method.bind(("ear", "eye"))
    signals = cp.Signals(None, torch.zeros(3), unimodal_logits=torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r"`target` should be class labels \(B,\) for .*float32"):
        method.loss(torch.tensor(0.0), signals)
