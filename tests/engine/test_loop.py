"""What a training loop asks around steps: sub-steps, evaluation, features, and branches' rates."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from support.methods import NAMES, close, wrapped
from support.networks import Late, batch

ROWS = 7


class Net(Late):
    """With batch-norm and dropout, so that the mode matters."""

    def __init__(self):
        super().__init__(2, norm=True, dropout=0.5)


def made(method=None, **options):
    torch.manual_seed(0)
    return wrapped(Net().double(), cp.Joint() if method is None else method, **options)


def loader(sizes=(7, 3, 5)):
    found = []
    for seed, rows in enumerate(sizes):
        inputs, target = batch(2, rows, seed=seed)
        found.append({**inputs, "target": target})
    return found


# -- steps -------------------------------------------------------------------------------------


class InTurns(cp.Method):
    """Two steps a batch: the even rows, then all of them."""

    def substeps(self, target, unimodal):
        self.logits = unimodal()
        yield torch.arange(0, len(target), 2)
        yield None


def test_most_methods_make_one_step_of_a_batch():
    balanced, inputs, target = made(), *batch(2, ROWS)
    (out,) = balanced.steps(**inputs, target=target)
    assert len(out.logits) == ROWS


def test_rows_of_a_step_are_taken_from_all_that_has_a_row_for_each_sample():
    class Weighted(Net):
        def forward(self, ear, eye, weight, table):
            self.seen = (len(ear), len(weight), len(table))
            return super().forward(ear=ear, eye=eye) * weight.unsqueeze(1)

    torch.manual_seed(0)
    balanced = wrapped(Weighted().double(), InTurns())
    inputs, target = batch(2, ROWS)
    others = {"weight": torch.rand(ROWS).double(), "table": torch.zeros(3)}
    steps = balanced.steps(**inputs, **others, target=target)
    seen = [(balanced.model.seen, len(out.logits)) for out in steps]
    assert seen == [((4, 4, 3), 4), ((7, 7, 3), 7)]
    assert balanced.method.logits.shape == (2, ROWS, 4)
    assert not balanced.method.logits.requires_grad
    assert balanced.training
    balanced.eval()
    assert len(list(balanced.steps(**inputs, **others, target=target))) == 1


# -- evaluation --------------------------------------------------------------------------------


def test_evaluation_is_the_mean_over_samples_in_eval_mode():
    balanced = made(cp.UnimodalLoss())
    balanced.method.set_epoch(4)
    evaluation = balanced.evaluate(loader())
    assert all(part.training for part in balanced.modules())
    balanced.eval()
    whole = {
        name: torch.cat([each[name] for each in loader()]) for name in ("ear", "eye", "target")
    }
    out = balanced.respond(**whole)
    target = whole["target"]
    assert evaluation.epoch == 4
    assert evaluation.loss == pytest.approx(float(F.cross_entropy(out.logits, target)))
    assert evaluation.accuracy == pytest.approx(
        float(out.logits.argmax(1).eq(target).double().mean())
    )
    own = [F.cross_entropy(each, target) for each in out.unimodal_logits]
    close(evaluation.unimodal_loss, torch.stack(own))
    close(evaluation.unimodal_accuracy, out.unimodal_logits.argmax(2).eq(target).double().mean(1))


@pytest.mark.parametrize("ignored", [-100, 255, 0])
def test_labels_that_the_score_ignores_count_in_no_mean(ignored):
    """Nor does a batch without any other, whose loss is no number."""
    balanced = made(cp.UnimodalLoss(), score=cp.scores.CrossEntropy(ignore_index=ignored))
    parts = [each["target"].clone() for each in loader()]
    parts[0][:] = ignored
    parts[1][0] = ignored
    batches = [{**each, "target": y} for each, y in zip(loader(), parts, strict=True)]
    evaluation = balanced.evaluate(batches)
    names = ("ear", "eye", "target")
    whole = {name: torch.cat([each[name] for each in batches]) for name in names}
    out, target = balanced.eval().respond(**whole), whole["target"]
    counted = target != ignored
    loss = F.cross_entropy(out.logits, target, ignore_index=ignored)
    assert evaluation.loss == pytest.approx(float(loss))
    right = out.unimodal_logits.argmax(2).eq(target)[:, counted]
    close(evaluation.unimodal_accuracy, right.double().mean(1))


@pytest.mark.parametrize("kind", [float, lambda mean: mean])
def test_a_metric_of_ones_own_takes_the_place_of_accuracy(kind):
    balanced = made(score=cp.scores.SquaredError())
    target = torch.randn(5, 4).double()
    inputs, _ = batch(2, 5)

    def metric(prediction, target):
        return kind(-(prediction - target).abs().mean())

    given = [{**inputs, "target": target}]
    assert torch.tensor(balanced.evaluate(given, epoch=2).accuracy).isnan()
    evaluation = balanced.evaluate(given, epoch=2, metric=metric)
    out = balanced.eval().respond(**inputs)
    assert evaluation.accuracy == pytest.approx(float(metric(out.logits, target)))
    assert evaluation.epoch == 2


def test_modes_of_parts_are_put_back():
    balanced = made()
    balanced.model.ear.eval()
    balanced.evaluate(loader())
    assert not balanced.model.ear.training
    assert balanced.model.eye.training
    assert balanced.training


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ([], ValueError, r"`loader` should yield samples; found none\. Pass the validation data's"),
        ([(1, 2)], TypeError, r"`loader` should yield mappings .* 'target'; found a tuple\. Give"),
        ([{"ear": 1}], TypeError, r"`loader` should yield mappings .* found \['ear'\]\. Give"),
    ],
)
def test_loaders_that_do_not_serve_are_errors(given, error, message):
    with pytest.raises(error, match=message):
        made().evaluate(given)


@pytest.mark.parametrize(
    ("method", "field"), [(cp.MSES(), "unimodal_loss"), (cp.MSLR(), "unimodal_accuracy")]
)
def test_a_method_says_what_an_evaluation_lacks(method, field):
    message = rf"`evaluation.{field}` should be given for MS.., which goes by it; found None\. Meas"
    with pytest.raises(ValueError, match=message):
        made(method).on_validation(cp.Evaluation(0, loss=1.0))


# -- features ----------------------------------------------------------------------------------


class Looks(cp.Method):
    def needs(self):
        return cp.Needs(owns="encoders")

    def on_epoch(self, encoders, features):
        self.encoders, self.features = encoders, features()


def test_features_are_what_encoders_return_in_eval_mode():
    balanced = made(Looks())
    train, validation = loader(), loader((11,))
    balanced.on_epoch(train, validation)
    found = balanced.method.features
    assert balanced.method.encoders == [balanced.model.ear, balanced.model.eye]
    balanced.eval()
    for m, name in enumerate(NAMES[:2]):
        encoder = balanced.model.get_submodule(name)
        for rows, given in ((found.train, train), (found.validation, validation)):
            close(rows[m], encoder(torch.cat([each[name] for each in given])).detach())
    assert torch.equal(found.train_target, torch.cat([each["target"] for each in train]))
    assert len(found.validation_target) == 11


def test_features_are_collected_with_one_tensor_of_targets():
    batches = [{**each, "target": {"labels": each["target"]}} for each in loader()]
    with pytest.raises(TypeError, match=r"'target' should be a tensor .* found a dict\."):
        made(Looks()).on_epoch(batches, batches)


def test_other_keywords_reach_the_model_where_features_are_collected():
    class Keyed(Net):
        def forward(self, ear, eye, mode):
            seen.append(mode)
            return super().forward(ear=ear, eye=eye)

    seen = []
    torch.manual_seed(0)
    balanced = wrapped(Keyed().double(), Looks())
    given = [{**each, "mode": "fast"} for each in loader((7,))]
    balanced.on_epoch(given, given)
    assert seen == ["fast", "fast"]


def test_a_modality_that_a_batch_lacks_is_named():
    lacking = [{name: rows for name, rows in loader()[0].items() if name != "eye"}]
    message = "Modality 'eye' should be given as a keyword; found ear"
    for method in (cp.Joint(), InTurns()):
        with pytest.raises(TypeError, match=message):
            next(made(method).steps(**lacking[0]))
    with pytest.raises(TypeError, match=message):
        made(Looks()).on_epoch(lacking, lacking)


# -- rates -------------------------------------------------------------------------------------


class Rates(cp.Method):
    factors = (0.5, 1.0)

    def learning_rates(self):
        return torch.tensor(self.factors)


def test_factors_do_not_compound_and_schedulers_see_their_own_rates():
    balanced = made(Rates())
    optimiser = torch.optim.SGD(balanced.parameter_groups(), lr=0.8)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.5)
    rates = cp.BranchRates(balanced)
    seen = []
    for epoch in range(3):
        rates.start_epoch(epoch)
        with rates.applied(optimiser):
            seen.append([group["lr"] for group in optimiser.param_groups])
        optimiser.step()
        scheduler.step()
    expected = [[0.4, 0.8, 0.8], [0.2, 0.4, 0.4], [0.1, 0.2, 0.2]]
    torch.testing.assert_close(torch.tensor(seen), torch.tensor(expected))


def test_a_frozen_branch_does_not_move_nor_do_its_statistics():
    balanced = made(Rates())
    balanced.method.factors = (0.0, 1.0)
    optimiser = torch.optim.SGD(balanced.parameter_groups(), lr=0.1, weight_decay=0.1)
    rates = cp.BranchRates(balanced)
    rates.start_epoch(0)
    before = {n: v.clone() for n, v in balanced.model.state_dict().items()}
    inputs, target = batch(2, ROWS)
    balanced(**inputs, target=target).loss.backward()
    rates.step(optimiser)
    after = balanced.model.state_dict()
    assert all(torch.equal(v, before[n]) for n, v in after.items() if n.startswith("ear."))
    assert not any(
        torch.equal(v, before[n]) for n, v in after.items() if n.startswith("eye.layers.0")
    )
    balanced.method.factors = (1.0, 1.0)
    rates.start_epoch(1)
    assert all(part.training for part in balanced.modules())


def test_what_is_frozen_is_left_out_of_a_step_whatever_its_gradient():
    balanced = made(Rates())
    balanced.method.factors = (0.0, 1.0)
    optimiser = torch.optim.SGD(balanced.parameter_groups(), lr=0.1)
    rates = cp.BranchRates(balanced.eval())
    rates.start_epoch(0)
    assert balanced.training
    before = [p.detach().clone() for p in balanced.model.ear.parameters()]
    for parameter in balanced.parameters():
        parameter.grad = torch.full_like(parameter, float("inf"))
    rates.step(optimiser)
    assert all(map(torch.equal, balanced.model.ear.parameters(), before))
    assert all(p.grad is None for p in balanced.model.ear.parameters())
    assert all(p.isinf().all() for p in balanced.model.eye.parameters())


def test_a_branch_thaws_as_soon_as_its_rate_is_asked_again():
    balanced = made(Rates())
    rates = cp.BranchRates(balanced)
    for factors in ((0.0, 1.0), (1.0, 1.0)):
        balanced.method.factors = factors
        rates.refresh()
        assert all(part.training == (factors[0] > 0) for part in balanced.model.ear.modules())
        assert all(part.training for part in balanced.model.eye.modules())


def test_the_loop_of_the_documentation_serves_every_method():
    """Three epochs of each, from the loop's twelve lines, validated as many loops do it."""
    makes = [cp.Joint, cp.AGM, cp.MSES, cp.MSLR, cp.GBlend, cp.PMR, cp.DGL, cp.ReconBoost]
    for method in (*(make() for make in makes), cp.Remix(1), cp.Relearning(1)):
        balanced = made(method)
        optimiser = torch.optim.SGD(balanced.parameter_groups(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.9)
        rates, start = (
            cp.BranchRates(balanced),
            nn.utils.parameters_to_vector(balanced.parameters()),
        )
        start = start.detach().clone()
        for epoch in range(3):
            rates.start_epoch(epoch)
            for each in loader():
                for out in balanced.steps(**each):
                    optimiser.zero_grad()
                    out.loss.backward()
                    rates.step(optimiser)
            scheduler.step()
            with torch.inference_mode():  # whose tensors cannot be trained with
                balanced.on_epoch(loader(), loader((11,)))
                balanced.on_validation(balanced.evaluate(loader((11,)), epoch=epoch))
            assert not any(buffer.is_inference() for buffer in balanced.method.buffers())
            if balanced.method.finished():
                break
        moved = nn.utils.parameters_to_vector(balanced.parameters()) - start
        assert moved.isfinite().all()
        assert moved.ne(0).any()
