"""Remix: which modality of a sample is shown."""

import torch
from torch.nn import functional as F

import counterpoise as cp
from support.methods import NAMES, SharedHead, close, wrapped
from support.networks import batch


def test_remix_shows_of_each_sample_the_modality_that_is_least_sure_of_it():
    model = SharedHead(3)
    balanced = wrapped(model, cp.Remix(warm_up=1, weight=0.5))
    inputs, target = batch(3, 11)
    balanced.method.set_epoch(0)
    (warm,) = balanced.steps(**inputs, target=target)
    assert warm.loss > F.cross_entropy(model(**inputs), target)
    balanced.method.set_epoch(1)
    with torch.no_grad():
        alone = [model.head(getattr(model, n)(inputs[n])) for n in NAMES]
        shift = model.head.bias * 2 / 3  # unimodal logits share the bias out
        surety = torch.stack([(z - shift).softmax(1).mul((z - shift).log_softmax(1)).sum(1)
                              for z in alone])  # fmt: skip
    assigned = surety.argmin(dim=0)
    outs = list(balanced.steps(**inputs, target=target))
    parts = [m for m in range(3) if int(assigned.eq(m).sum()) > 1]
    assert [len(out.logits) for out in outs] == [int(assigned.eq(m).sum()) for m in parts]
    for m, out in zip(parts, outs, strict=True):
        rows = assigned.eq(m)
        close(out.logits.detach(), alone[m][rows])
        close(out.loss.detach(), F.cross_entropy(alone[m][rows], target[rows]))


def test_a_sample_by_itself_is_left_out():
    """Of four samples the first modality is less sure of one, the second of three."""
    method = cp.Remix(warm_up=0)
    method.bind(("ear", "eye"))
    sure, unsure = torch.tensor([5.0, 0.0]), torch.tensor([1.0, 0.0])
    logits = torch.stack([
        torch.stack([unsure, sure, sure, sure]),
        torch.stack([sure, unsure, unsure, unsure]),
    ])  # fmt: skip
    steps = [rows.tolist() for rows in method.substeps(None, lambda: logits)]
    assert steps == [[1, 2, 3]]
