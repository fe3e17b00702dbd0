"""Runs of every task: what is minimised, chosen by, tested and recorded."""

import csv
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

import counterpoise as cp
from counterpoise.data import (
    Classification,
    DataSource,
    MultiLabel,
    MultimodalDataset,
    Regression,
    SampleDataset,
    Segments,
    Splits,
)
from counterpoise.methods import Evaluation
from counterpoise.training import (
    SGD,
    BalancedModule,
    Module,
    Network,
    Recipe,
    TrainerOptions,
    train,
)

SIZES = {"left": 5, "right": 7}
TASKS = {
    "classification": Classification(3, headline="macro_f1"),
    "multilabel": MultiLabel(3),
    "regression": Regression(2),
    "segments": Segments(3),
}


def part(task, num_samples, seed):
    """Inputs of which the first entries tell the target, hidden by noise."""
    generator = torch.Generator().manual_seed(seed)
    steps = (4,) if task.kind == "segments" else ()
    hidden = torch.randn(num_samples, *steps, task.num_outputs, generator=generator)
    inputs = {}
    for name, size in SIZES.items():
        noise = 0.5 * torch.randn(num_samples, *steps, size, generator=generator)
        inputs[name] = noise + F.pad(hidden, (0, size - task.num_outputs))
    if task.kind in ("classification", "segments"):
        return MultimodalDataset(inputs, hidden.argmax(dim=-1))
    return MultimodalDataset(inputs, (hidden > 0).float() if task.kind == "multilabel" else hidden)


@dataclass(frozen=True)
class Hidden(DataSource):
    kind: str

    def load(self):
        task = TASKS[self.kind]
        parts = (part(task, *each) for each in ((211, 0), (97, 1), (101, 2)))
        return Splits("hidden", *parts, task)


class Steps(nn.Module):
    """Logits for each of four segments, classes second; tells what else it is to be told."""

    encoder_paths = {name: name for name in SIZES}  # noqa: RUF012

    def __init__(self, num_outputs, sample_shapes):
        super().__init__()
        for name, (_, size) in sample_shapes.items():
            setattr(self, name, nn.Linear(size, 11))
        self.head = nn.Linear(22, num_outputs)

    def forward(self, left, right):
        features = torch.cat([self.left(left), self.right(right)], dim=-1).relu()
        return {"logits": self.head(features), "size": features.square().mean()}

    @staticmethod
    def select(raw):
        return raw["logits"].transpose(1, 2)

    @staticmethod
    def extra_loss(raw, target):
        assert target.shape == raw["logits"].shape[:2]
        return 0.1 * raw["size"]


def recipe(kind, **changes):
    model = Module(Steps) if kind == "segments" else Network(num_features=11)
    options = TrainerOptions(max_epochs=4, log_every_n_steps=1, accelerator="cpu")
    settings = {"model": model, "optimizer": SGD(0.1), "batch_size": 31, "trainer": options}
    return Recipe(Hidden(kind), **(settings | changes))


@pytest.mark.parametrize("kind", TASKS)
def test_a_run_learns_and_records_what_its_task_says(kind, tmp_path):
    record = train(recipe(kind, method=cp.AGM(1.0)), tmp_path / "run", progress=False)
    task, form = TASKS[kind], TASKS[kind].form
    assert record["task"]["headline"] == task.headline
    responses = {f"response/{name}/{form.name}" for name in SIZES}
    assert set(record["test"]) == {"loss", *task.forms} | responses
    assert form.is_better(record["test"][form.name], than=record["task"]["guess"])
    chosen = [epoch[f"validation/{form.name}"] for epoch in record["epochs"]]
    best = max(chosen) if form.higher_is_better else min(chosen)
    assert record["best_epoch"] == chosen.index(best)
    assert record["steps"]["coefficients"] is not None


@pytest.mark.parametrize("kind", TASKS)
def test_the_tested_values_are_those_of_plain_formulae(kind, tmp_path):
    splits = Hidden(kind).load()
    run = recipe(kind, method=cp.Joint())
    record = train(run, tmp_path / "run", progress=False)
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    torch.manual_seed(0)
    model = run.build(splits).eval()
    weights = {
        name.removeprefix("balanced."): value
        for name, value in best["state_dict"].items()
        if name.startswith("balanced.")
    }
    model.load_state_dict(weights)
    test = splits.test
    logits, target = model(**test.inputs).logits, test.target
    plain = {
        "classification": lambda: F.cross_entropy(logits, target),
        "multilabel": lambda: F.binary_cross_entropy_with_logits(logits, target),
        "regression": lambda: F.mse_loss(logits, target),
        "segments": lambda: F.cross_entropy(logits, target),
    }
    assert record["test"]["loss"] == pytest.approx(plain[kind]().item(), rel=1e-5)
    if kind == "regression":
        assert record["test"]["mae"] == pytest.approx(F.l1_loss(logits, target).item(), rel=1e-5)
        assert record["test"]["rmse"] == pytest.approx(F.mse_loss(logits, target).sqrt().item())
    if kind == "segments":
        right = (logits.argmax(dim=1) == target).float().mean()
        assert record["test"]["accuracy"] == pytest.approx(right.item())


@dataclass(frozen=True)
class PartlyLabelled(DataSource):
    """Segments of which many have no label, and all of every second batch of one sample."""

    def load(self):
        parts = [part(TASKS["segments"], *each) for each in ((13, 0), (11, 1), (17, 2))]
        for each in parts:
            each.target[::2] = -100
            each.target[1::4, 1:] = -100
        return Splits("partly", *parts, TASKS["segments"])


@pytest.mark.parametrize("method", [cp.Joint, cp.AGM])
def test_losses_are_means_over_labels_however_these_lie_in_batches(method, tmp_path):
    run = recipe("segments", method=method(), monitor=True).replace(
        data=PartlyLabelled(), batch_size=1
    )
    record = train(run, tmp_path / "run", progress=False)
    assert record["outcome"] == "done"
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    splits = run.data.load()
    module = BalancedModule(run.build(splits), splits.task)
    module.load_state_dict(best["state_dict"])
    balanced = module.balanced.eval()
    whole = balanced.respond(**splits.validation.inputs, target=splits.validation.target)
    logged = csv.DictReader((tmp_path / "run" / "metrics.csv").read_text().splitlines())
    epoch = [row for row in logged if row["validation/loss"]][record["best_epoch"]]
    assert float(epoch["validation/loss"]) == pytest.approx(whole.loss.item(), rel=1e-5)
    scores = [float(epoch[f"validation/response/{name}/score"]) for name in SIZES]
    assert scores == pytest.approx(whole.scores.tolist(), rel=1e-5)
    by_label = balanced.evaluate([{**splits.validation.inputs, "target": splits.validation.target}])
    unimodal = [float(epoch[f"validation/unimodal/{name}/loss"]) for name in SIZES]
    assert unimodal == pytest.approx(by_label.unimodal_loss.tolist(), rel=1e-5)


def lengths(samples):
    """Two, three or four segments of each; the first batch has none of four."""
    return [2 + (row > 9) * (row % 3) for row in range(len(samples))]


def padded(samples):
    entries = (*SIZES, "target")
    return {
        name: pad_sequence([s[name] for s in samples], True, -100 if name == "target" else 0.0)
        for name in entries
    }


@dataclass(frozen=True)
class Sequences(DataSource):
    def load(self):
        parts = []
        for num_samples, seed in ((61, 0), (29, 1), (23, 2)):
            whole = part(TASKS["segments"], num_samples, seed)
            cut = [
                {name: value[:size] for name, value in sample.items()}
                for sample, size in zip(whole, lengths(whole), strict=True)
            ]
            parts.append(SampleDataset(cut, collate=padded))
        return Splits("sequences", *parts, TASKS["segments"])


def test_sequences_of_any_length_are_padded_and_predicted(tmp_path):
    run = recipe("segments", method=cp.AGM()).replace(data=Sequences(), batch_size=7)
    record = train(run, tmp_path / "run", progress=False)
    with np.load(tmp_path / "run" / "predictions.npz") as arrays:
        predicted = torch.from_numpy(arrays["prediction"])
    assert predicted.shape == (23, 4)
    target = pad_sequence([s["target"] for s in Sequences().load().test], True, -100)
    assert (predicted[:7, 2:] == -1).all()
    right = (predicted == target)[target >= 0].float().mean()
    assert record["test"]["accuracy"] == pytest.approx(right.item())


METHODS = {
    "UnimodalLoss": cp.UnimodalLoss,
    "MSES": lambda: cp.MSES(patience=1),
    "MSLR": lambda: cp.MSLR(window=1),
    "OGMGE": lambda: cp.OGMGE(0.5),
}


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", TASKS)
def test_methods_learn_on_every_task_that_they_are_defined_for(kind, name, tmp_path):
    method = METHODS[name]()
    if kind not in method.tasks:
        with pytest.raises(ValueError, match=f"defined for the task, {kind}; found"):
            train(recipe(kind, method=method), tmp_path / "run", progress=False)
        return
    record = train(recipe(kind, method=method), tmp_path / "run", progress=False)
    form = TASKS[kind].form
    assert form.is_better(record["test"][form.name], than=record["task"]["guess"])


def test_mslr_takes_the_rate_from_the_modality_whose_error_grows():
    method, form = cp.MSLR(window=1), Regression().form
    method.bind(["a", "b"])
    for epoch, errors in enumerate([(0.5, 0.5), (0.25, 1.0)]):
        merits = form.merit(torch.tensor(errors))
        method.on_validation(Evaluation(epoch, 1.0, 0.5, None, merits), [[], []])
    rates = method.learning_rates()
    assert rates[0] > 1 > rates[1]


def test_a_method_that_is_not_defined_for_the_task_is_refused_before_anything_is_kept(tmp_path):
    with pytest.raises(ValueError, match="defined for the task, regression; found PMR"):
        train(recipe("regression", method=cp.PMR()), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_the_extra_loss_is_trained_and_not_balanced(tmp_path):
    """Its gradient is the plain one, whatever the method does with that of the task."""
    splits = Hidden("segments").load()
    batch = splits.example(31)
    gradients = {}
    for alpha in (0.0, 3.0):
        torch.manual_seed(0)
        balanced = recipe("segments", method=cp.AGM(alpha)).build(splits)
        out = balanced(**batch)
        extra = Steps.extra_loss(out.raw, batch["target"])
        gradients[alpha] = torch.autograd.grad(extra, balanced.model.left.weight)[0]
    assert torch.equal(*gradients.values())
    record = train(recipe("segments"), tmp_path / "with", progress=False)
    plain = recipe("segments", model=Module(Without))
    without = train(plain, tmp_path / "without", progress=False)
    assert record["steps"]["loss"][0] == without["steps"]["loss"][0]  # the task's alone
    assert record["steps"]["loss"][-1] != without["steps"]["loss"][-1]


class Without(Steps):
    extra_loss = None


def test_a_network_of_one_answer_is_refused_for_segments():
    with pytest.raises(ValueError, match="`model` should put out logits for each segment"):
        recipe("segments", model=Network()).build(Hidden("segments").load())
