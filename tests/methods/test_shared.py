"""What methods share: numbers for each modality, snapshots, subsets, counters, rows."""

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.engine.epochs import collect
from counterpoise.methods.shared.counting import HostCount
from counterpoise.methods.shared.rows import sample_axis
from counterpoise.methods.shared.settings import per_modality
from counterpoise.methods.shared.snapshots import Snapshots
from counterpoise.methods.shared.subsets import values_alone, values_of
from support.harness import network, wrap
from support.networks import batch

NAMES = ("ear", "eye", "hand")


@pytest.mark.parametrize(
    ("given", "numbers"),
    [
        (None, [0.5, 0.5, 0.5]),
        (2, [2, 2, 2]),
        (0, [0, 0, 0]),
        ([1, 2.5, 0], [1, 2.5, 0]),
        ({"hand": 3, "ear": 1, "eye": 2}, [1, 2, 3]),
    ],
)
def test_one_number_serves_all_modalities_or_each_has_its_own(given, numbers):
    assert per_modality("w", given, NAMES, default=0.5) == numbers


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            [1, 2],
            ValueError,
            "`w` should have a number for each of ear, eye, hand; found 2. Give 3",
        ),
        ([1, 2, 3, 4], ValueError, "found 4. Give 3, or one number for all."),
        ({"ear": 1}, ValueError, "`w` should have a number for each of ear, eye, hand; found ear."),
        ({}, ValueError, "found none"),
        (dict.fromkeys([*NAMES, "arm"], 1), ValueError, "hand, arm. Did you mean 'ear'?"),
        (-1, ValueError, "`w` should be finite, at least 0; found -1."),
        ([1, 2, float("nan")], ValueError, "`w` should be finite, at least 0; found nan."),
        (dict.fromkeys(NAMES, -2.0), ValueError, "`w` should be finite, at least 0; found -2.0."),
        (
            "abc",
            TypeError,
            "`w` should be a number, one for each modality, or by name; found 'abc'",
        ),
        ([1, "2", 3], TypeError, "found '2' in it"),
        ({"ear": "1"}, TypeError, "`w` should map modalities to numbers; found 'ear': '1'."),
        (True, TypeError, "`w` should be a number; found True"),
    ],
)
def test_numbers_that_do_not_fit_the_modalities_are_errors(given, error, message):
    with pytest.raises(error) as caught:
        per_modality("w", given, NAMES, default=0.5)
    assert message in str(caught.value)


def test_a_counter_that_the_host_does_not_know_is_read():
    count, counter = HostCount(), torch.tensor(3)
    assert count.read(counter) == 3
    counter.add_(2)
    assert count.read(counter) == 5
    count.note(counter, 9)  # believed
    assert count.read(counter) == 9
    assert count.read(torch.tensor(7)) == 7


def test_snapshots_are_copies_and_restored_in_place():
    layer, norm, snapshots = nn.Linear(2, 3), nn.BatchNorm1d(3), Snapshots()
    snapshots.keep("first", [layer, norm, layer])
    assert len(snapshots.state_dict()) == 2 + 5  # a module that is named twice is kept once
    before, weight = layer.weight.detach().clone(), layer.weight
    with torch.no_grad():
        layer.weight.add_(1)
        norm.running_mean.add_(1)
    snapshots.restore("first", [layer, norm])
    assert layer.weight is weight
    assert torch.equal(weight, before)
    assert not norm.running_mean.any()
    assert not any(kept.requires_grad for kept in snapshots.buffers())


@pytest.mark.parametrize("other", [nn.Linear(2, 5), nn.Linear(2, 3, bias=False), nn.Identity()])
def test_snapshots_of_what_was_replaced_are_an_error(other):
    snapshots = Snapshots()
    snapshots.keep("first", [nn.Linear(2, 3)])
    with pytest.raises(ValueError, match=r"should keep their parts; .* replaced, of first\. Wrap"):
        snapshots.restore("first", [other])
    snapshots.keep("first", [other])
    snapshots.restore("first", [other])


def test_a_saved_state_decides_which_snapshots_there_are():
    layer, snapshots, other = nn.Linear(2, 3), Snapshots(), Snapshots()
    snapshots.keep("first", [layer])
    other.keep("second", [nn.Linear(5, 7)])
    other.load_state_dict(snapshots.state_dict())
    assert list(other.state_dict()) == ["first_0", "first_1"]
    other.load_state_dict(Snapshots().state_dict())
    assert not other.state_dict()
    assert dict(other.named_buffers()).keys() == {"place"}


def test_values_of_subsets_are_found_whatever_the_order():
    values = torch.arange(7.0).view(7, 1)
    coalitions = ((0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
    signals = cp.Signals(None, None, values=values, coalitions=coalitions)
    assert values_of(signals, [(2, 0), (1,)], "CML").tolist() == [[4], [1]]
    assert values_alone(signals, 3, "CML").tolist() == [[0], [1], [2]]
    sampled = signals._replace(coalitions=((), (0,)))
    with pytest.raises(ValueError, match="Coalitions should be exact for CML, which needs that of"):
        values_of(sampled, [(1,)], "CML")


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((5,), 0), ((5, 3), 0), ((3, 5), 1), ((5, 5), 0), ((3, 4, 5), None), ((), None)],
)
def test_the_axis_of_samples_is_the_first_or_the_second(shape, axis):
    assert sample_axis(torch.zeros(shape), 5) == axis


class Folding(nn.Module):
    """Folds the frames of all samples into the rows of its encoders, as networks of video do."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.head = nn.Linear(3, 4), nn.Linear(5, 4), nn.Linear(8, 4)

    def forward(self, ear, eye):
        frames = [self.ear(ear.flatten(0, 1)), self.eye(eye.flatten(0, 1))]
        return self.head(torch.cat(frames, dim=1)).view(len(ear), 2, 4).mean(dim=1)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (lambda: cp.UnimodalLoss(heads="linear"), r"shape \(14, 4\) beside 7 rows of logits"),
        (cp.PMR, r"a row for each of the 7 samples; found shape \(14, 4\)"),
        (cp.MCR, r"a row for each of the 7 samples for MCR; found shapes \[\(14, 4\)\]"),
        (cp.OPM, r"that of the 7 samples, for OPM to drop some"),
    ],
)
def test_features_without_a_row_a_sample_are_refused_where_one_is_needed(method, message):
    balanced = cp.Balanced(Folding(), {"ear": "ear", "eye": "eye"}, method())
    balanced.method.set_epoch(0)
    with pytest.raises(ValueError, match=message):
        balanced(ear=torch.randn(7, 2, 3), eye=torch.randn(7, 2, 5), target=torch.randint(4, (7,)))


def test_features_of_the_data_need_a_row_a_sample():
    loader = [{"ear": torch.zeros(7, 2, 3), "target": torch.zeros(7)}]
    with pytest.raises(ValueError, match="The feature of modality number 0 should have a row"):
        collect(loader, lambda ear: {0: ear.flatten(0, 1)}, torch.device("cpu"))


@pytest.mark.parametrize(
    "method", [cp.LFM, cp.ARL, cp.CML, cp.MCR, cp.ReconBoost, lambda: cp.Remix(warm_up=0)]
)
def test_a_class_that_is_masked_is_as_if_it_were_not_there(method):
    """A probability of zero times its logarithm was no number."""
    masked = torch.tensor([0.0, 0.0, 0.0, -torch.inf], dtype=torch.float64)
    gradients = []
    for select in (lambda logits: logits[:, :3], lambda logits: logits + masked):
        torch.manual_seed(5)
        balanced = wrap(network("late", 2), method(), "shared", select=select)
        balanced.method.set_epoch(0)
        balanced.method.learning_rates()
        inputs, target = batch(2, 9, num_classes=3)
        for out in balanced.steps(**inputs, target=target):
            out.loss.backward()
        gradients.append([p.grad for p in balanced.model.parameters()])
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-12)


def test_predictions_of_masked_classes_are_fused_by_those_that_are_left():
    torch.manual_seed(0)
    logits, method = torch.randn(3, 5, 4), cp.MLA(num_batches=2)
    logits[:, :, 1] = -torch.inf
    left = [0, 2, 3]
    torch.testing.assert_close(method.fuse(logits)[:, left], method.fuse(logits[:, :, left]))
