"""Tasks and arguments that methods refuse, by name."""

import pytest
import torch

import counterpoise as cp


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
