"""BalancedTrainer against plain loops over the same batches."""

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import Trainer

import counterpoise as cp
from counterpoise.engine.output import Output
from counterpoise.integrations import BalancedTrainer, BalancedTrainerMixin
from counterpoise.integrations.tally import EvaluationTally
from integrations.towers import Plain, Towers, arguments, table, tensors, towers


class InOrder(BalancedTrainer):
    """Takes the rows in their order, so that a loop beside it sees the same batches."""

    def _get_train_sampler(self, *arguments):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def batches(data, size):
    whole = tensors(data)
    for start in range(0, len(whole["labels"]), size):
        batch = {name: value[start : start + size].clone() for name, value in whole.items()}
        yield {"target": batch.pop("labels"), **batch}


def weights(balanced):
    return {name: p.detach().clone() for name, p in balanced.model.named_parameters()}


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0)


def logged(trainer, name):
    return [entry[name] for entry in trainer.state.log_history if name in entry]


@pytest.fixture
def data():
    return table()


def test_it_trains_as_a_plain_loop_does(tmp_path, data):
    trainer = InOrder(towers(), arguments(tmp_path), train_dataset=data)
    trainer.train()
    balanced = towers()
    optimiser = torch.optim.SGD(balanced.parameters(), lr=0.1)
    outs = []
    for batch in batches(data, 7):
        optimiser.zero_grad()
        outs.append(balanced(**batch))
        outs[-1].loss.backward()
        optimiser.step()
    assert_equal(weights(trainer.balanced), weights(balanced))
    scores = torch.tensor(logged(trainer, "response/right/score"))
    torch.testing.assert_close(scores, torch.stack([out.scores[1] for out in outs]))
    shown = torch.tensor(logged(trainer, "coefficient/left"))
    torch.testing.assert_close(shown, torch.stack([out.coefficients[0] for out in outs]))
    assert shown.std() > 0.01  # or else the comparison would say nothing


def test_accumulated_batches_weigh_the_same_and_are_not_counted_twice(tmp_path, data):
    options = {"gradient_accumulation_steps": 2, "learning_rate": 0.2}
    trainer = InOrder(towers(cp.Joint()), arguments(tmp_path, **options), train_dataset=data)
    trainer.train()
    balanced = towers(cp.Joint())
    optimiser = torch.optim.SGD(balanced.parameters(), lr=0.2)
    losses = []
    for batch in batches(data, 14):  # two batches of 7: the mean of their means
        optimiser.zero_grad()
        out = balanced(**batch)
        out.loss.backward()
        losses.append(out.loss.item())
        optimiser.step()
    found, expected = weights(trainer.balanced), weights(balanced)
    for name, weight in found.items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-5, atol=1e-6)
    assert logged(trainer, "loss") == pytest.approx(losses, abs=1e-4)


def test_an_evaluation_measures_the_model_and_each_response(tmp_path, data):
    trainer = BalancedTrainer(towers(), arguments(tmp_path), eval_dataset=data)
    metrics = trainer.evaluate()
    (whole,) = batches(data, len(data))
    balanced = towers().eval()
    out = balanced.respond(**whole)
    assert metrics["eval_loss"] == pytest.approx(out.loss.item(), abs=1e-5)
    right = (out.logits.argmax(1) == whole["target"]).float().mean().item()
    assert metrics["eval_accuracy"] == pytest.approx(right)
    for i, name in enumerate(balanced.modalities):
        score = metrics[f"eval_response/{name}/score"]
        assert score == pytest.approx(out.scores[i].item(), abs=1e-5)
        share = (out.responses[i].argmax(1) == whole["target"]).float().mean().item()
        assert metrics[f"eval_response/{name}/accuracy"] == pytest.approx(share)


def test_losses_weigh_labels_and_scores_weigh_samples_that_have_any():
    generator = torch.Generator().manual_seed(0)
    target = torch.tensor([[0, 1, 2], [1, -100, -100], [-100, 0, -100], [-100, -100, -100]])
    responses = torch.randn(2, 4, 3, 3, generator=generator)
    score = cp.scores.CrossEntropy()
    tally = EvaluationTally(("left", "right"), score.criterion, score=score)
    for rows in ([0], [1, 2, 3]):
        own, labels = responses[:, rows], target[rows]
        counted = score.counted(labels)
        scores = torch.stack([score(logits, labels)[counted].mean() for logits in own])
        tally.update(Output(own.sum(0), None, None, own, scores, unimodal_logits=own), labels)
    for i, name in enumerate(("left", "right")):
        whole = score(responses[i], target)[:3].mean().item()
        assert tally.metrics()[f"response/{name}/score"] == pytest.approx(whole)
        loss = score.criterion(responses[i], target).item()
        assert tally.evaluation(0).unimodal_loss[i].item() == pytest.approx(loss)


def test_metrics_of_the_users_own_get_logits_and_labels(tmp_path, data):
    def own(prediction):
        return {"right": float((prediction.predictions.argmax(1) == prediction.label_ids).mean())}

    trainer = BalancedTrainer(towers(), arguments(tmp_path), eval_dataset=data, compute_metrics=own)
    metrics = trainer.evaluate()
    assert metrics["eval_right"] == pytest.approx(metrics["eval_accuracy"])


def test_data_without_labels_are_predicted(tmp_path, data):
    trainer = BalancedTrainer(towers(), arguments(tmp_path))
    found = trainer.predict(data.remove_columns("labels")).predictions
    (whole,) = batches(data, len(data))
    whole.pop("target")
    expected = towers().eval()(**whole).logits.detach()
    torch.testing.assert_close(torch.from_numpy(found), expected)


def test_rates_of_branches_hold_under_a_scheduler(tmp_path, data):
    def method():
        return cp.MSLR("keep", factors=[0.5, 2.0])

    options = {"lr_scheduler_type": "linear", "weight_decay": 0.03, "num_train_epochs": 2}
    trainer = InOrder(towers(method()), arguments(tmp_path, **options), train_dataset=data)
    trainer.train()
    balanced = towers(method())
    decayed = trainer.get_decay_parameter_names(balanced)
    names = {p: n for n, p in balanced.named_parameters()}
    groups = [
        {**group, "params": [p for p in group["params"] if (names[p] in decayed) == decays]}
        | {"weight_decay": 0.03 * decays}
        for group in balanced.parameter_groups()
        for decays in (True, False)
    ]
    optimiser = torch.optim.SGD(groups, lr=0.1)
    rates = cp.BranchRates(balanced)
    for epoch in range(2):
        rates.start_epoch(epoch)
        for number, batch in enumerate(batches(data, 7)):
            for group in optimiser.param_groups:
                group["lr"] = 0.1 * (1 - (4 * epoch + number) / 8)
            optimiser.zero_grad()
            balanced(**batch).loss.backward()
            rates.step(optimiser)
    found, expected = weights(trainer.balanced), weights(balanced)
    for name, weight in found.items():
        torch.testing.assert_close(weight, expected[name])


def test_a_method_that_goes_by_validation_hears_of_it_and_ends_training(tmp_path, data):
    trainer = BalancedTrainer(
        towers(cp.MSES(patience=1)),
        arguments(tmp_path, num_train_epochs=40, eval_strategy="epoch", learning_rate=0.5),
        train_dataset=data,
        eval_dataset=table(15, seed=1),
    )
    trainer.train()
    assert trainer.balanced.method.finished()
    assert trainer.state.epoch < 40


def test_frozen_branches_stand_still(tmp_path, data):
    method = cp.MSLR("keep", factors=[0.0, 1.0])
    trainer = BalancedTrainer(
        towers(method), arguments(tmp_path, max_grad_norm=1.0), train_dataset=data
    )
    before = weights(trainer.balanced)
    trainer.train()
    after = weights(trainer.balanced)
    own = [n for n in before if n.startswith("left_tower")]
    assert own
    for name in own:
        assert torch.equal(before[name], after[name])
    assert not torch.equal(before["right_tower.first.weight"], after["right_tower.first.weight"])


def test_bfloat16_computes_scores_in_float32(tmp_path, data):
    trainer = BalancedTrainer(
        towers(), arguments(tmp_path, bf16=True), train_dataset=data, eval_dataset=data
    )
    trainer.train()
    assert trainer._last.scores.dtype == torch.float32
    assert trainer.evaluate()["eval_loss"] == pytest.approx(
        cross_entropy(*_answers(trainer, data)).item(), rel=0.03
    )


def _answers(trainer, data):
    (whole,) = batches(data, len(data))
    target = whole.pop("target")
    return trainer.balanced.eval()(**whole).logits, target


def test_activation_checkpointing_is_switched_on_in_the_users_model(tmp_path, data):
    plain = InOrder(towers(), arguments(tmp_path), train_dataset=data)
    plain.train()
    trainer = InOrder(
        towers(), arguments(tmp_path, activation_checkpointing=True), train_dataset=data
    )
    trainer.train()
    assert trainer.balanced.model.is_activation_checkpointing
    assert_equal(weights(trainer.balanced), weights(plain.balanced))


def test_a_trainer_of_the_users_own_takes_the_mixin(tmp_path, data):
    class Mine(BalancedTrainerMixin, Trainer):
        def log(self, logs, *arguments, **keywords):
            super().log({**logs, "mine": 1.0}, *arguments, **keywords)

    trainer = Mine(towers(), arguments(tmp_path), train_dataset=data)
    trainer.train()
    assert logged(trainer, "mine")
    assert trainer.balanced.method.running_scores.isfinite().all()


def test_a_model_of_no_library_and_a_model_made_anew(tmp_path, data):
    def make():
        torch.manual_seed(11)
        return cp.Balanced(Plain(), {"left": "left_tower", "right": "right_tower"}, cp.AGM())

    trainer = BalancedTrainer(model_init=make, args=arguments(tmp_path), train_dataset=data)
    before = weights(make())
    trainer.train()
    after = weights(trainer.balanced)
    assert not torch.equal(before["classifier.weight"], after["classifier.weight"])


def test_the_users_model_is_untouched(tmp_path, data):
    trainer = BalancedTrainer(towers(), arguments(tmp_path), train_dataset=data)
    trainer.train()
    assert type(trainer.balanced.model) is Towers
