"""OPM: a worked example, what is dropped when, and whose confidence counts."""

from math import tanh

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.methods.shared.evidence import confidences
from support.harness import Run, network, wrap
from support.wrapping import wrap_parts


def bound(num_modalities=2, **options):
    method = cp.OPM(**options)
    method.bind(("ear", "eye", "hand")[:num_modalities])
    return method


def signals(*probabilities, rows=1):
    """Equal samples of two classes, to whose label each modality gives a probability."""
    right = torch.tensor(probabilities).logit()
    logits = torch.stack([torch.zeros_like(right), right], dim=1).unsqueeze(1)
    target = torch.ones(rows, dtype=torch.long)
    return cp.Signals(None, target, unimodal_logits=logits.expand(-1, rows, -1))


def step(method, *probabilities, rows=64):
    """Let features of ones pass, then the confidences be seen; return what is left of them."""
    method.inputs({"ear": torch.zeros(rows, 2)}, None)
    passed = [method.feature(m, torch.ones(rows, 3)) for m in range(len(probabilities))]
    assert method.coefficients(signals(*probabilities, rows=rows)) is None
    return passed


def share_dropped(feature):
    """Return the share of the rows that are zero; no row may be so in part."""
    lost = feature.eq(0)
    assert torch.equal(lost.all(dim=1), lost.any(dim=1))
    return float(lost[:, 0].float().mean())


def test_worked_example_of_three_modalities():
    """q_base = 0.4, lambda = 0.5, s = (0.8, 0.5, 0.2); ratios to each of the others, averaged:

    rho = ((1.6 + 4) / 2, (0.625 + 2.5) / 2, (0.25 + 0.4) / 2) = (2.8, 1.5625, 0.325);
    q = (0.4 (1 + 0.5 tanh 1.8), 0.4 (1 + 0.5 tanh 0.5625), 0) = (0.589361, 0.501966, 0).
    """
    expected = [0.4 * (1 + 0.5 * tanh(1.8)), 0.4 * (1 + 0.5 * tanh(0.5625)), 0]
    assert expected == pytest.approx([0.589361, 0.501966, 0], rel=1e-5)
    method = bound(3, probability=0.4, strength=0.5)
    step(method, 0.8, 0.5, 0.2)
    assert method.probabilities.tolist() == pytest.approx(expected, rel=1e-5)


def test_equals_lose_nothing():
    assert bound().probability_of(torch.tensor([0.5, 0.5])).tolist() == [0, 0]


def test_the_ratio_is_that_of_the_last_step():
    method = bound(probability=0.5, strength=0.0)
    torch.manual_seed(0)
    found = [tuple(map(share_dropped, step(method, *s))) for s in ((0.9, 0.3), (0.3, 0.9), (1, 1))]
    (first, second, third) = found
    assert first == (0, 0)
    assert second[0] > 0 == second[1]
    assert third[1] > 0 == third[0]


@pytest.mark.parametrize("num_modalities", [2, 3])
@pytest.mark.parametrize("rows", [1, 64])
def test_there_is_no_state_that_a_change_of_the_lead_cannot_end(rows, num_modalities):
    """Strength 1 has q = 0.5 (1 + tanh(19 - 1)) = 1 for s = (0.95, 0.05)."""
    method = bound(num_modalities, probability=1.0, strength=1.0)
    rest = [0.5] * (num_modalities - 2)
    torch.manual_seed(0)
    for first, second in ((0.95, 0.05), (0.05, 0.95)):
        for _ in range(200):
            step(method, first, second, *rest, rows=rows)
        expected = method.probability_of(torch.tensor([first, second, *rest]))
        torch.testing.assert_close(method.probabilities, expected)


def test_where_everything_was_dropped_nothing_is_learnt():
    method = bound(probability=1.0, strength=0.0)
    step(method, 0.9, 0.3)
    before = method.probabilities.clone()
    torch.manual_seed(0)
    ear, _ = step(method, 0.3, 0.9, rows=1)
    assert share_dropped(ear) == 1  # the only sample lost a feature: it does not count
    assert torch.equal(method.probabilities, before)


def test_the_probability_never_exceeds_what_leaves_samples_to_learn_from():
    method = bound(probability=0.9, strength=10.0)
    step(method, 0.9, 0.1)
    assert method.probabilities.tolist() == [7 / 8, 0]


@pytest.mark.parametrize("probability", [0.3, 0.5, 1.0])
def test_rows_are_dropped_each_on_its_own_with_the_probability_that_is_told(probability):
    method = bound(3, probability=probability, strength=0.5)
    step(method, 0.8, 0.5, 0.2)
    q = method.probabilities.tolist()
    torch.manual_seed(0)
    features = step(method, 0.8, 0.5, 0.2, rows=10_007)
    assert [share_dropped(each) for each in features] == pytest.approx(q, abs=0.02)
    assert q[2] == 0
    whole = 1 - share_dropped(features[0] * features[1] * features[2])
    assert whole >= 1 / 8 - 0.02


def test_of_a_nest_what_is_a_feature_of_rows_is_dropped():
    method = bound(probability=1.0, strength=0.0)
    step(method, 0.9, 0.3)
    mask = torch.ones(50, 2, dtype=torch.bool)
    table = torch.ones(7, 3)  # not rows of the batch
    feature = {"tokens": torch.ones(50, 2, 3), "mask": mask, "table": table}
    method.inputs({"ear": torch.zeros(50, 2)}, None)
    found = method.feature(0, feature)
    assert share_dropped(found["tokens"].flatten(1)) > 0.5
    assert found["mask"] is mask
    assert found["table"] is table


def test_the_first_of_two_axes_that_fit_is_that_of_samples():
    method = bound(probability=1.0, strength=0.0)
    step(method, 0.9, 0.3)
    method.inputs({"ear": torch.zeros(50, 2)}, None)
    assert share_dropped(method.feature(0, torch.ones(50, 50, 3)).flatten(1)) > 0.5


@pytest.mark.parametrize(("probability", "phase"), [(0.0, "off"), (0.1, "on")])
def test_where_nothing_is_ever_dropped_a_step_is_a_plain_one(probability, phase):
    assert cp.OPM(probability).phase() == phase


class Recurrent(nn.Module):
    """A recurrent encoder that returns outputs and state, of which the state alone is used."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye = (nn.GRU(3, 5, num_layers=2, batch_first=True) for _ in range(2))
        self.head = nn.Linear(10, 4)

    def forward(self, ear, eye):
        return self.head(torch.cat([self.ear(ear)[1][-1], self.eye(eye)[1][-1]], dim=1))


def test_outputs_and_state_of_a_recurrent_encoder_are_dropped_for_the_same_samples():
    method, encoder = bound(probability=1.0, strength=0.0), Recurrent().ear
    step(method, 0.9, 0.3)
    for rows in (50, 2):  # with two samples, the state's first axis could be taken for theirs
        sequences = torch.randn(rows, 7, 3)
        for _ in range(20 if rows == 2 else 1):
            method.inputs({"ear": sequences}, None)
            outputs, state = method.feature(0, encoder(sequences))
            lost = outputs.flatten(1).eq(0).all(dim=1)
            assert torch.equal(state[-1].eq(0).all(dim=1), lost)
            assert torch.equal(state[0].eq(0).any(dim=1), lost)
        assert lost.any() or rows == 2


def test_what_recurrent_encoders_return_is_dropped_in_training():
    torch.manual_seed(0)
    model = Recurrent()
    method = cp.OPM(probability=1.0, strength=0.0)
    encoders = {"ear": "ear", "eye": "eye"}
    balanced = wrap_parts(model, ("ear", "eye"), method, encoders=encoders)
    inputs = {name: torch.randn(11, 7, 3) for name in encoders}
    target = torch.randint(4, (11,))
    balanced(**inputs, target=target)
    out = balanced(**inputs, target=target)
    assert not torch.equal(out.logits, model(**inputs))


@pytest.mark.parametrize(
    ("feature", "found"),
    [
        (torch.ones(7, 5, 3), r"\[\(7, 5, 3\)\]"),
        (torch.ones(7, 5, 11), r"\[\(7, 5, 11\)\]"),
        (
            (nn.utils.rnn.pack_sequence([torch.ones(2, 3)] * 11), torch.ones(1, 11, 3)),
            "a packed sequence",
        ),
    ],
)
def test_a_feature_without_samples_to_drop_is_an_error(feature, found):
    method = bound()
    method.inputs({"ear": torch.zeros(11, 2)}, None)
    message = (
        r"The encoder of 'ear' should return tensors whose first or second axis is that of the 11 "
        rf"samples, for OPM to drop some; found {found}\. Name a module whose output is such"
    )
    with pytest.raises(ValueError, match=message):
        method.feature(0, feature)


class Sum(nn.Module):
    """Two additive heads on the inputs themselves."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
        self.first, self.second = nn.Identity(), nn.Identity()
        for encoder in (self.ear, self.eye):
            nn.init.eye_(encoder.weight)

    def forward(self, ear, eye):
        return self.first(self.ear(ear)) + self.second(self.eye(eye))


def test_confidences_are_of_the_samples_that_lost_nothing():
    """What was dropped has a flat softmax: counted, it would make the leader look unsure."""
    encoders, heads = {"ear": "ear", "eye": "eye"}, {"ear": "first", "eye": "second"}
    method = cp.OPM(probability=0.5, strength=0.0)
    balanced = wrap_parts(Sum(), ("ear", "eye"), method, encoders=encoders, heads=heads)
    target = torch.arange(4).repeat(100)
    inputs = {"ear": 4 * torch.eye(4)[target], "eye": torch.eye(4)[target]}
    seen = []
    learn = method.coefficients

    def spy(signals):
        seen.append(confidences(signals))
        return learn(signals)

    method.coefficients = spy
    torch.manual_seed(0)
    for _ in range(2):
        balanced(**inputs, target=target)
    assert seen[1][0] < 0.7 * seen[0][0]
    whole = method.probability_of(seen[0])
    torch.testing.assert_close(method.probabilities, whole)


def test_a_step_that_broke_off_leaves_nothing_behind():
    model = network("late", 2, norm=False)
    run = Run(wrap(model, cp.OPM())).epochs(1)
    inputs, target = run.data(0)
    forward = model.head.forward

    def broken(x):
        raise RuntimeError("out of memory")

    model.head.forward = broken
    with pytest.raises(RuntimeError, match="out of memory"):
        run.balanced(**inputs, target=target)
    model.head.forward = forward
    part = {name: x[:5] for name, x in inputs.items()}
    assert run.balanced(**part, target=target[:5]).loss.isfinite()


def test_outside_the_window_the_logits_are_the_models_own():
    model = network("late", 2, norm=False)
    run = Run(wrap(model, cp.Windowed(cp.OPM(), 1, 2)), lr=0.0).epochs(3)
    inputs, _ = run.data(1)
    assert torch.equal(run.outs[1].logits, model(**inputs))
    assert run.outs[0].responses is None
    own = [torch.equal(run.outs[i].logits, model(**run.data(i)[0])) for i in (2, 3, 4, 5)]
    assert own == [True, False, True, True]  # at the first step inside nothing is known yet


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"probability": 1.5}, r"`probability` should be .*at most 1; found 1\.5\. Choose"),
        ({"strength": -1.0}, r"`strength` should be finite, at least 0; found -1\.0"),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_right(options, message):
    with pytest.raises(ValueError, match=message):
        cp.OPM(**options)
