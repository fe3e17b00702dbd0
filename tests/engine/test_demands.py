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
    ("encoders", "expected"), [(True, Demand(unimodal="gradients")), (False, Demand("gradients"))]
)
def test_unimodal_logits_are_the_responses_where_encoders_are_not_known(encoders, expected):
    assert demands(cp.UnimodalLoss(), encoders=encoders).training("on", monitor=False) == expected


def test_heads_of_its_own_spare_a_method_the_passes():
    own = {name: torch.nn.Linear(5, 4) for name in NAMES}
    asked = demands(cp.UnimodalLoss(heads=own)).training("on", monitor=False)
    assert asked == Demand(features=True)
    assert demands(cp.Joint()).evaluation == Demand("values")
