"""What each kind of step asks of its passes."""

import pytest
import torch

import counterpoise as cp
from counterpoise.engine.demands import Demand, Demands
from support.networks import Late

NAMES = ("ear", "eye")


def demands(method, *, encoders=True, heads=None):
    model = Late(2)
    parts = {n: cp.Modality(n if encoders else None, head=(heads or {}).get(n)) for n in NAMES}
    balanced = cp.Balanced(model, parts, method)
    return Demands(balanced.method, balanced.ownership)


def test_joint_training_asks_for_a_plain_step_unless_it_is_monitored():
    joint = demands(cp.Joint())
    assert joint.training("on", monitor=False).is_plain
    assert joint.training("on", monitor=True) == Demand("values")
    assert joint.training("on", monitor=True).passes


def test_what_only_learns_asks_for_values_and_what_is_off_for_nothing():
    agm = demands(cp.AGM())
    assert agm.training("on", monitor=False) == Demand("gradients")
    assert agm.training("watch", monitor=False) == Demand("values")
    assert agm.training("off", monitor=False).is_plain
    assert demands(cp.UnimodalLoss()).training("watch", monitor=False).is_plain


@pytest.mark.parametrize(
    ("encoders", "expected"),
    [(True, Demand(unimodal="gradients", graph=True)), (False, Demand("gradients", graph=True))],
)
def test_unimodal_logits_are_the_responses_where_encoders_are_not_known(encoders, expected):
    assert demands(cp.UnimodalLoss(), encoders=encoders).training("on", monitor=False) == expected


def test_a_graph_of_responses_is_recorded_where_somebody_may_go_backward_through_them():
    batch = {"ear": torch.randn(7, 3), "eye": torch.randn(7, 5)}
    for method, recorded in ((cp.AGM(), False), (cp.chain(cp.AGM(), cp.UnimodalLoss()), True)):
        model = Late(2)
        out = cp.Balanced(model, {n: n for n in NAMES}, method)(**batch, target=torch.arange(7) % 2)
        assert out.responses.requires_grad == recorded
        assert out.loss.requires_grad


def test_the_values_that_a_method_sees_carry_the_graph_that_it_asks_for():
    seen = []

    class Sees(cp.Method):
        def needs(self):
            return cp.Needs(responses="gradients", values=True)

        def coefficients(self, signals):
            seen.append((signals.values.requires_grad, signals.responses.requires_grad))
            return torch.ones(2)

    model = Late(2)
    batch = {"ear": torch.randn(7, 3), "eye": torch.randn(7, 5)}
    cp.Balanced(model, {n: n for n in NAMES}, Sees())(**batch, target=torch.arange(7) % 2)
    assert seen == [(True, True)]


def test_responses_asked_for_as_values_carry_no_graph():
    class Sees(cp.Method):
        def needs(self):
            return cp.Needs(responses="values", unimodal_logits="gradients", values=True)

        def coefficients(self, signals):
            carried.append((signals.responses.requires_grad, signals.unimodal_logits.requires_grad))

    carried = []
    batch = {"ear": torch.randn(7, 3), "eye": torch.randn(7, 5)}
    model = Late(2)
    cp.Balanced(model, model.encoders, Sees())(**batch, target=torch.arange(7) % 2)
    assert carried == [(False, True)]


def test_heads_of_its_own_spare_a_method_the_passes():
    own = {name: torch.nn.Linear(5, 4) for name in NAMES}
    asked = demands(cp.UnimodalLoss(heads=own)).training("on", monitor=False)
    assert asked == Demand(features=True)
    assert demands(cp.Joint()).evaluation == Demand("values")
