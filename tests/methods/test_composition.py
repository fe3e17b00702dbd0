"""Chains of methods: who acts where, who may not, and what several do together."""

from copy import deepcopy

import pytest
import torch
from torch import nn

import counterpoise as cp
from counterpoise.methods.method import answers
from counterpoise.methods.shared.composite import NOBODY
from support.harness import Run, method_state, network, wrap
from support.wrapping import assert_same

ALONE = {
    "coefficients": lambda: cp.AGM(alpha=1.7),
    "encoder_factors": lambda: cp.OGM(alpha=0.5),
    "feature": lambda: cp.OPM(0.5, 0.5),
    "learning_rates": lambda: cp.MSLR(factors=[0.5, 2.0, 1.0]),
    "loss": cp.UnimodalLoss,
}


@pytest.mark.parametrize("place", ALONE)
def test_with_joint_training_a_method_is_what_it_is_alone(place):
    model = network("additive", 3, dropout=0.3)
    alone = Run(wrap(deepcopy(model), ALONE[place]())).epochs(3)
    chained = Run(wrap(model, cp.chain(cp.Joint(), ALONE[place]()))).epochs(3)
    assert_same(chained.weights, alone.weights)
    for found, expected in zip(chained.outs, alone.outs, strict=True):
        assert torch.equal(found.coefficients, expected.coefficients)
        assert torch.equal(found.loss, expected.loss)


@pytest.mark.parametrize("strong", [lambda: cp.AGM(alpha=1.7), lambda: cp.OGM(alpha=0.5)])
@pytest.mark.parametrize(("fusion", "heads"), [("additive", None), ("maxout", "linear")])
def test_unimodal_losses_with_a_method_that_modulates(fusion, heads, strong):
    """Each is what it is alone where the other has no strength; together both act."""
    model = network(fusion, 3)

    def trained(method):
        return Run(wrap(deepcopy(model), method)).epochs(2)

    weak = type(strong())(alpha=0.0)
    losses = trained(cp.UnimodalLoss(heads=heads))
    beside_weak = trained(cp.chain(cp.UnimodalLoss(heads=heads), weak))
    assert_same(beside_weak.weights, losses.weights)
    both = trained(cp.chain(cp.UnimodalLoss(heads=heads), strong()))
    assert both.outs[-1].coefficients.ne(1).any()
    assert torch.equal(both.outs[0].loss, losses.outs[0].loss)
    moved = [n for n, w in both.weights.items() if not torch.equal(w, losses.weights[n])]
    assert any(n.startswith(model.names) for n in moved)


def test_mmpareto_combines_the_losses_that_another_makes_and_not_its_own():
    model = network("additive", 3, norm=False)
    weights = [0.5, 2.0, 1.0]
    one = cp.chain(cp.UnimodalLoss(weights), cp.MMPareto(gamma=1.3, weight=7.0))
    other = cp.chain(cp.MMPareto(gamma=1.3), cp.UnimodalLoss(weights))
    first, second = (Run(wrap(deepcopy(model), each)).epochs(2) for each in (one, other))
    assert_same(first.weights, second.weights)
    equal = cp.chain(cp.UnimodalLoss(), cp.MMPareto(gamma=1.3))
    alone = Run(wrap(deepcopy(model), cp.MMPareto(gamma=1.3))).epochs(2)
    assert_same(Run(wrap(deepcopy(model), equal)).epochs(2).weights, alone.weights)
    assert any(not torch.equal(w, alone.weights[n]) for n, w in first.weights.items())


def test_losses_that_train_no_encoder_leave_mmpareto_its_own():
    """MSES by itself tells when to stop, and has the losses of its heads alone, if of any."""
    model = network("additive", 3, norm=False)
    alone = Run(wrap(deepcopy(model), cp.MMPareto(gamma=1.3))).epochs(2)
    stops = cp.chain(cp.MSES(patience=9), cp.MMPareto(gamma=1.3))
    assert_same(Run(wrap(deepcopy(model), stops)).epochs(2).weights, alone.weights)
    message = "found MSES and MMPareto, which both act at `loss`"
    with pytest.raises(ValueError, match=message):
        wrap(model, cp.chain(cp.MSES(heads="linear"), cp.MMPareto()))


def test_heads_of_one_method_serve_the_other():
    model = network("maxout", 3)
    method = cp.chain(cp.UnimodalLoss(heads="linear"), cp.OGM(0.5))
    assert cp.OGM(0.5).needs().unimodal_logits == "values"
    balanced = wrap(model, method)
    assert method.needs() == cp.Needs(features=True, owns="encoders")
    run = Run(balanced).epochs(2)
    assert run.outs[-1].responses is None
    assert run.outs[-1].coefficients.lt(1).any()


def test_a_member_in_a_window_acts_inside_it_alone():
    model = network("additive", 3)
    method = cp.chain(cp.UnimodalLoss(), cp.Windowed(cp.AGM(alpha=1.7), 1, 2))
    run, plain = Run(wrap(deepcopy(model), method)), Run(wrap(model, cp.UnimodalLoss()))
    run.epochs(1), plain.epochs(1)
    assert_same(run.weights, plain.weights)
    agm = method.methods[1].method
    assert int(agm.num_steps) == 2  # it watched
    run.epochs(1), plain.epochs(1)
    assert any(not torch.equal(w, plain.weights[n]) for n, w in run.weights.items())
    assert set(run.outs[-1].diagnostics) == {"lead", "bounded"}
    run.epochs(1)
    assert int(agm.num_steps) == 4
    assert torch.equal(run.outs[-1].coefficients, torch.ones(3))


def test_phases_of_a_chain():
    method = cp.chain(cp.Windowed(cp.OGM(), 1, 2), cp.Windowed(cp.AGM(), 3, 4))
    phases = []
    for epoch in range(5):
        method.set_epoch(epoch)
        phases.append(method.phase())
    assert phases == ["watch", "on", "watch", "on", "off"]


def test_state_of_all_members_is_saved_and_goes_on():
    def make():
        method = cp.chain(cp.UnimodalLoss(heads="linear"), cp.AGM(alpha=1.7))
        return Run(wrap(network("maxout", 3), method))

    run = make().epochs(2)
    resumed = make()
    resumed.balanced.validate(**resumed.data(0)[0])
    resumed.load(run.saved())
    for each in (run, resumed):
        each.epochs(1)
    assert_same(resumed.weights, run.weights)
    assert_same(method_state(resumed.balanced), method_state(run.balanced))
    assert {"methods.0.heads.ear.weight", "methods.1.reference.scores"} <= set(
        method_state(run.balanced)
    )


def test_between_steps_all_members_are_told():
    mses, gblend = cp.MSES(patience=1, smoothing=0.0), cp.AGM()
    method = cp.chain(mses, gblend)
    method.bind(("ear", "eye"))
    branches = [[nn.Linear(2, 2)], [nn.Linear(2, 2)]]
    for epoch, losses in enumerate([(0.9, 0.8), (0.95, 0.9)]):
        method.set_epoch(epoch)
        method.on_validation(cp.Evaluation(epoch, unimodal_loss=torch.tensor(losses)), branches)
    assert gblend.epoch == 1
    assert method.learning_rates().tolist() == [0, 0]
    assert method.finished()


def test_what_a_chain_says_of_itself():
    method = cp.chain(cp.UnimodalLoss(), cp.AGM())
    assert method.title() == "UnimodalLoss + AGM"
    assert method.places() == cp.UnimodalLoss().places() | cp.AGM().places()
    assert answers(method, "loss")
    assert not answers(method, "feature")
    assert method.tasks == cp.AGM().tasks
    both = cp.chain(cp.Joint(), cp.MSES()).needs()._replace(unimodal_logits="nothing")
    assert both == cp.Needs(owns="branches")
    assert cp.chain(cp.MSES(), cp.OGM()).needs().owns == "encoders"


def test_who_makes_and_combines_losses_by_itself_is_asked_for_both():
    method = cp.chain(cp.MMPareto(), cp.AGM())
    method.bind(("ear", "eye"))
    assert method.asked("loss") is method.asked("combine") is method.methods[0]


def test_a_chain_reports_what_its_members_find():
    method = cp.chain(cp.UnimodalLoss(), cp.AGM())
    method.bind(("ear", "eye"))
    method.check()
    method.coefficients(cp.Signals(None, None, scores=torch.tensor([float("nan"), 1.0])))
    with pytest.raises(FloatingPointError, match="of modality 'ear' should be finite"):
        method.check()


def test_outside_its_window_a_method_is_asked_between_steps_alone():
    method = cp.chain(
        cp.Windowed(cp.MSES(weights=1.0), 1, 2), cp.Windowed(cp.OGM(), 1, 2), cp.AGM()
    )
    method.bind(("ear", "eye"))
    for epoch, inside in enumerate([False, True, False]):
        method.set_epoch(epoch)
        asked = {p: method.asked(p) for p in ("encoder_factors", "loss", "learning_rates")}
        rates, factors, agm = method.methods
        expected = (factors, rates) if inside else (NOBODY, NOBODY)
        assert (asked["encoder_factors"], asked["loss"]) == expected
        assert asked["learning_rates"] is rates
        assert method.asked("encoder_gradient") is factors
        assert method.asked("coefficients") is agm


def heads():
    return {name: nn.Linear(6, 4) for name in ("ear", "eye")}


@pytest.mark.parametrize(
    ("methods", "place"),
    [
        ((cp.AGM(), cp.AGM()), "AGM and AGM, which both act at `coefficients`"),
        ((cp.OGM(), cp.MLB()), "OGM and MLB, which both act at `encoder_factors`"),
        ((cp.UnimodalLoss(), cp.MLB()), "UnimodalLoss and MLB, which both act at `loss`"),
        ((cp.UnimodalLoss(), cp.GBlend()), "UnimodalLoss and GBlend, which both act at `loss`"),
        ((cp.PMR(), cp.MMPareto()), "PMR and MMPareto, which both act at `loss`"),
        ((cp.MMPareto(), cp.MMPareto()), "MMPareto and MMPareto, which both act at `loss`"),
        (
            (cp.MMPareto(), cp.DGL(), cp.MSES()),
            "DGL and MSES, which both act at `loss`",
        ),
        ((cp.MSLR(), cp.MSES()), "MSLR and MSES, which both act at `learning_rates`"),
        (
            (cp.UnimodalLoss(heads=heads()), cp.MMPareto(heads=heads())),
            "UnimodalLoss and MMPareto, which both act at `unimodal_logits`",
        ),
        (
            (cp.Joint(), cp.Windowed(cp.AGM(), 0, 2), cp.AGM()),
            "AGM and AGM, which both act at `coefficients`",
        ),
    ],
)
def test_two_at_one_place_are_an_error_that_names_them_and_the_place(methods, place):
    with pytest.raises(
        ValueError, match=f"`methods` should act at different places; found {place}"
    ):
        cp.chain(*methods)


@pytest.mark.parametrize(
    ("methods", "error", "message"),
    [
        ((), ValueError, r"`methods` should be two or more; found 0\. Pass one as it is\."),
        ((cp.AGM(),), ValueError, r"`methods` should be two or more; found 1\."),
        (
            (cp.AGM(), cp.OGM),
            TypeError,
            r"`methods` should be a list of methods such as cp.AGM\(\); found the class OGM",
        ),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_right(methods, error, message):
    with pytest.raises(error, match=message):
        cp.chain(*methods)


@pytest.mark.parametrize("methods", [(cp.DGL(), cp.AGM()), (cp.AGM(), cp.DGL())])
def test_two_that_go_by_different_coalitions_are_an_error_that_names_them(methods):
    message = "found DGL, which .* features alone, and AGM, .* inputs. Leave one out"
    with pytest.raises(ValueError, match=message):
        cp.chain(*methods)


def test_the_epoch_is_told_to_a_chain_and_to_all_that_are_in_it():
    first, second = cp.Windowed(cp.AGM(), start=2), cp.UnimodalLoss()
    chain = cp.chain(first, second)
    chain.set_epoch(3)
    assert (chain.epoch, first.epoch, second.epoch) == (3, 3, 3)


def test_a_chain_learns_when_bound_where_its_members_act():
    class Undecided(cp.Method):
        """Says where it acts only when it knows the modalities."""

        def places(self):
            return frozenset({"coefficients"} if self.modalities else ())

        def needs(self):
            return cp.Needs(responses="gradients")

        def coefficients(self, signals):
            return torch.full((len(self.modalities),), 0.5)

    chain = cp.chain(Undecided(), cp.Joint())
    chain.bind(["ear", "eye"])
    assert chain.coefficients(cp.Signals(None, None)).tolist() == [0.5, 0.5]


def test_the_end_of_an_epoch_is_told_to_all_that_are_in_a_chain():
    told = []

    class Listener(cp.Method):
        def on_epoch(self, encoders, features):
            told.append((list(encoders), features()))

    chain = cp.chain(Listener(), Listener())
    chain.bind(["ear", "eye"])
    chain.on_epoch(["encoders"], lambda: "features")
    assert told == [(["encoders"], "features")] * 2
