"""Methods that decide between epochs, under the trainer: what they see, do, and take up again."""

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy

import counterpoise as cp
from counterpoise.cli.main import main
from counterpoise.data import Synthetic
from counterpoise.engine.rates import BranchRates
from counterpoise.methods import Method
from counterpoise.training import SGD, Constant, Network, Recipe, read_recipe, train
from counterpoise.training import config as recipes
from support.wrapping import wrap_parts
from training import runs
from training.runs import SIZES, Blobs, Small, recipe, same_bits
from training.test_module import Told, fit, made
from training.test_resume import Killed, left_behind, stop

NAMES = tuple(SIZES)
STOPS = [2, 4]  # epochs after which the branches stop in the run of `ending`
STEPS = 5  # in an epoch
APART = {Method, cp.Windowed, cp.Chain, cp.MLA, cp.Remix}  # need parts, or another loop
METHODS = {
    kind.__name__: kind
    for kind in vars(cp).values()
    if isinstance(kind, type) and issubclass(kind, Method) and kind not in APART
}


class AdditiveNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoders = nn.ModuleDict({name: nn.Linear(size, 7) for name, size in SIZES.items()})
        self.heads = nn.ModuleDict({name: nn.Linear(7, 3) for name in SIZES})

    def logits(self, inputs):
        return [self.heads[name](self.encoders[name](inputs[name]).relu()) for name in SIZES]

    def forward(self, left, right):
        return sum(self.logits({"left": left, "right": right}))


@dataclass(frozen=True)
class AdditiveSmall(Small):
    def build(self, splits):
        return AdditiveNet()

    def head_paths(self, model):
        return {name: f"heads.{name}" for name in SIZES}


def ending(**changes):
    """A run whose left branch stops after epoch 2, and whose right one ends it after epoch 4."""
    settings = {
        "method": cp.MSES(patience=2, smoothing=0.0),
        "optimizer": SGD(learning_rate=0.3),
        "schedule": Constant(),
        "trainer": {"max_epochs": 19},
        "seed": 5,
    }
    return recipe(**(settings | changes))


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ended") / "run"
    return folder, train(ending(), folder, progress=False)


def saved(folder, which="last"):
    state = torch.load(folder / "checkpoints" / f"{which}.ckpt", weights_only=True)["state_dict"]
    return {k.removeprefix("balanced."): v for k, v in state.items() if k.startswith("balanced.")}


# -- early stopping --------------------------------------------------------------------------------


def test_modalities_stop_one_by_one_and_the_last_ends_training(ended):
    folder, record = ended
    state = saved(folder)
    assert state["method.stopped"].all()
    assert (state["method.best_epoch"] + 2).tolist() == STOPS
    assert len(record["epochs"]) == STOPS[1] + 1


def test_stopped_branches_are_those_of_their_best_epochs_bit_for_bit(ended):
    folder, _ = ended
    state = saved(folder)
    for index, name in enumerate(NAMES):
        encoder = runs.Net().encoders[name]
        owned = [n for n, _ in (*encoder.named_parameters(), *encoder.named_buffers())]
        for number, tensor in enumerate(owned):
            kept = state[f"method.snapshots.branch{index}_{number}"]
            assert torch.equal(state[f"model.encoders.{name}.{tensor}"], kept), (name, tensor)


class Watcher(Callback):
    """Notes the weights when each epoch's validation begins, which is before the method acts."""

    def __init__(self):
        self.states = []

    def on_validation_start(self, trainer, pl_module):
        state = pl_module.balanced.model.state_dict()
        self.states.append({name: tensor.clone() for name, tensor in state.items()})


def fitted(tmp_path, method, **options):
    watcher = Watcher()
    module = made(method, optimizer=SGD(learning_rate=0.15), schedule=Constant())
    trainer = fit(module, tmp_path, callbacks=[watcher], **options)
    return module, trainer, watcher.states


def test_a_stopped_branch_goes_back_at_once_and_moves_no_more(tmp_path):
    module, trainer, states = fitted(tmp_path, cp.MSES(patience=2, smoothing=0.0), max_epochs=19)
    best = module.balanced.method.best_epoch.tolist()
    assert trainer.current_epoch == max(best) + 3
    final = module.balanced.model.state_dict()
    for name, epoch in zip(NAMES, best, strict=True):
        for key in final:
            if key.startswith(f"encoders.{name}"):
                later = [state[key] for state in states[epoch + 3 :]] + [final[key]]
                assert all(torch.equal(each, states[epoch][key]) for each in later), key
    assert not torch.equal(final["head.weight"], states[-2]["head.weight"])


def test_a_branch_stopped_within_an_epoch_moves_no_more(tmp_path):
    method = cp.MSES(patience=1, smoothing=0.0)
    module, trainer, states = fitted(
        tmp_path, method, max_epochs=9, val_check_interval=2, log_every_n_steps=1
    )
    assert len(states) > trainer.current_epoch  # several validations an epoch
    assert method.stopped.all()
    final = module.balanced.model.state_dict()
    for index, name in enumerate(NAMES):
        encoder = module.balanced.model.encoders[name]
        for number, tensor in enumerate((*encoder.parameters(), *encoder.buffers())):
            assert torch.equal(tensor, method.snapshots.get_buffer(f"branch{index}_{number}"))
    assert any(not torch.equal(final[k], states[0][k]) for k in final)


def kill_after(monkeypatch, steps, act, calls=1):
    """Let the network act in the call number ``calls`` after so many training steps."""
    forward, seen = runs.Net.forward, {"steps": 0, "calls": 0}

    def counted(self, **inputs):
        if seen["steps"] == steps:
            seen["calls"] += 1
        seen["steps"] += self.training
        if seen["calls"] == calls:
            act()
        return forward(self, **inputs)

    monkeypatch.setattr(runs.Net, "forward", counted)


@pytest.mark.parametrize("epochs", [1, STOPS[0] + 1, STOPS[1]], ids=["before", "one", "last"])
def test_a_killed_run_ends_with_the_same_bits(ended, tmp_path, monkeypatch, epochs):
    with monkeypatch.context() as patch:
        kill_after(patch, epochs * STEPS + 2, stop)
        with pytest.raises(Killed):
            train(ending(), tmp_path / "run", progress=False)
    train(ending(), tmp_path / "run", resume=True, progress=False)
    assert same_bits(left_behind(tmp_path / "run"), left_behind(ended[0]))


def test_a_run_killed_after_its_method_ended_it_trains_no_more(ended, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_after(patch, (STOPS[1] + 1) * STEPS, stop, calls=10)  # after the last epoch
        with pytest.raises(Killed):
            train(ending(), tmp_path / "run", progress=False)
    forward = runs.Net.forward

    def idle(self, **inputs):
        assert not self.training
        return forward(self, **inputs)

    monkeypatch.setattr(runs.Net, "forward", idle)
    train(ending(), tmp_path / "run", resume=True, progress=False)
    assert same_bits(left_behind(tmp_path / "run"), left_behind(ended[0]))


def accuracy(state, part):
    network = runs.Net().eval()
    prefix = "model."
    network.load_state_dict(
        {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    )
    return (network(**part.inputs).argmax(dim=1) == part.target).float().mean().item()


def test_the_best_weights_are_those_that_were_validated(ended):
    folder, record = ended
    found = accuracy(saved(folder, "best"), Blobs().load().validation)
    last = accuracy(saved(folder), Blobs().load().validation)
    accuracies = [epoch["validation/accuracy"] for epoch in record["epochs"]]
    assert found == pytest.approx(max(*accuracies, last))
    if last > max(accuracies):
        assert record["best_epoch"] == len(accuracies) - 1
    else:
        assert record["best_epoch"] == accuracies.index(max(accuracies))


class Improves(cp.Method):
    """Ends training after its first epoch and leaves weights that tell the classes apart."""

    done = False

    def needs(self):
        return cp.Needs(owns="branches")

    def on_validation(self, evaluation, branches):
        self.done = True
        for modules in branches:
            for layer in modules:
                nn.init.eye_(layer.weight)
                nn.init.zeros_(layer.bias)

    def finished(self):
        return self.done


def test_weights_that_a_method_leaves_behind_are_validated_and_may_be_the_best(tmp_path):
    still = recipe(model=AdditiveSmall(), method=Improves(), optimizer=SGD(learning_rate=0.0))
    record = train(still, tmp_path / "run", progress=False)
    assert len(record["epochs"]) == 1
    assert record["best_epoch"] == 0
    left, best = saved(tmp_path / "run"), saved(tmp_path / "run", "best")
    assert same_bits(best, left)
    part, network = Blobs().load().validation, AdditiveNet()
    network.load_state_dict({k.removeprefix("model."): v for k, v in left.items()})
    hits = (network(**part.inputs).argmax(dim=1) == part.target).float().mean().item()
    assert hits > record["epochs"][0]["validation/accuracy"] + 0.1


# -- what frozen branches leave out ----------------------------------------------------------------


def stepped(factors, gradients):
    """Take a clipped step with given gradients at the encoders; return the module."""
    module = made(Told(rates=factors), optimizer=SGD(learning_rate=0.1, momentum=0.0))
    optimizer = module.configure_optimizers()["optimizer"]
    for parameter in module.balanced.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for name, gradient in zip(NAMES, gradients, strict=True):
        module.balanced.model.encoders[name][0].bias.grad.fill_(gradient)
    module.rates.refresh()
    before = {n: p.detach().clone() for n, p in module.balanced.model.named_parameters()}
    module.on_before_optimizer_step(optimizer)
    norm = nn.utils.clip_grad_norm_(module.balanced.parameters(), 1.0)
    with module.rates.applied(optimizer):
        optimizer.step()
    after = dict(module.balanced.model.named_parameters())
    return norm, {n for n in before if not torch.equal(before[n], after[n])}


@pytest.mark.parametrize("gradient", [1e6, float("inf"), float("nan")])
def test_gradients_of_frozen_branches_reach_neither_norm_nor_weights(gradient):
    norm, moved = stepped([0.0, 1.0], [gradient, 0.1])
    assert norm == pytest.approx(0.1 * 11**0.5)
    assert not any(name.startswith("encoders.left") for name in moved)
    assert "encoders.right.0.bias" in moved


def test_branches_with_a_rate_stay_in_the_norm():
    norm, _ = stepped([0.5, 1.0], [0.3, 0.4])
    assert norm == pytest.approx(0.5 * 11**0.5)


def test_a_model_without_branches_steps_as_it_is():
    balanced = cp.Balanced(runs.Net(), NAMES, cp.Joint())
    rates = BranchRates(balanced)
    rates.refresh()
    optimizer = torch.optim.SGD(balanced.parameter_groups(), lr=0.1)
    balanced.model.head.bias.grad = torch.ones(3)
    rates.exclude_frozen(optimizer)
    assert balanced.model.head.bias.grad is not None


def test_rates_of_mslr_are_applied_on_top_of_the_schedule(tmp_path):
    """Plain SGD: the steps of a branch at factor 0.5 are half as long, from the same weights."""

    def first_step(method):
        module = made(method, optimizer=SGD(learning_rate=0.1, momentum=0.0, weight_decay=0.0))
        before = {k: p.detach().clone() for k, p in module.balanced.model.named_parameters()}
        fit(module, tmp_path, max_epochs=1, limit_train_batches=1, log_every_n_steps=1)
        return {k: p.detach() - before[k] for k, p in module.balanced.model.named_parameters()}

    plain, scaled = first_step(cp.Joint()), first_step(cp.MSLR("keep", factors=[0.5, 2.0]))
    for name, moved in plain.items():
        factor = 0.5 if "left" in name else 2.0 if "right" in name else 1.0
        torch.testing.assert_close(scaled[name], factor * moved, rtol=1e-4, atol=1e-7)


# -- what methods are told -------------------------------------------------------------------------


class Heard(cp.Method):
    def on_validation(self, evaluation, branches):
        self.evaluation = evaluation


class HeardHeads(cp.UnimodalLoss):
    def on_validation(self, evaluation, branches):
        self.evaluation = evaluation


def hear(architecture, method, tmp_path):
    """Train an epoch; return what the method was told, and the module in eval mode."""
    torch.manual_seed(5)
    small = recipe(model=architecture, method=method)
    module = made()
    module.__init__(small.build(Blobs().load()), 3, optimizer=SGD(0.05))
    logged = fit(module, tmp_path, max_epochs=1).callback_metrics
    told = module.balanced.method.evaluation
    for m, name in enumerate(NAMES):
        assert logged[f"validation/unimodal/{name}/loss"] == told.unimodal_loss[m]
        assert logged[f"validation/unimodal/{name}/accuracy"] == told.unimodal_accuracy[m]
    return told, module.balanced.eval()


def assert_told(told, logits, part):
    losses = torch.stack([F.cross_entropy(each, part.target) for each in logits])
    hits = torch.stack([(each.argmax(dim=1) == part.target).float().mean() for each in logits])
    torch.testing.assert_close(told.unimodal_loss, losses)
    torch.testing.assert_close(told.unimodal_accuracy, hits)


def test_additive_heads_are_judged_where_there_are_any(tmp_path):
    told, balanced = hear(AdditiveSmall(), Heard(), tmp_path)
    part = Blobs().load().validation
    assert_told(told, balanced.model.logits(part.inputs), part)


def test_own_heads_are_judged_where_the_method_has_any(tmp_path):
    heads = {name: nn.Linear(11, 3) for name in NAMES}
    told, balanced = hear(Small(), HeardHeads(heads=heads), tmp_path)
    part = Blobs().load().validation
    encoders, heads = balanced.model.encoders, balanced.method.heads
    assert_told(told, [heads[n](encoders[n](part.inputs[n])) for n in NAMES], part)


def test_linear_heads_have_their_sizes_before_training_and_are_recorded(tmp_path):
    same = recipe(method=cp.UnimodalLoss(heads="linear"), model=Network(fusion="maxout"))
    torch.manual_seed(0)
    balanced = same.build(same.data.load())
    assert not any(map(is_lazy, balanced.parameters()))
    training = train(same, tmp_path, progress=False)
    assert training["method"]["settings"] == {"weights": None, "heads": "linear"}
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for name, parameter in balanced.method.named_parameters():
        trained = saved[f"balanced.method.{name}"]
        assert trained.shape == parameter.shape
        assert not torch.equal(trained, parameter)
    assert read_recipe(tmp_path / "config.yaml").method.settings()["heads"] == "linear"


def test_responses_are_judged_where_there_are_no_heads(tmp_path):
    told, balanced = hear(Small(), Heard(), tmp_path)
    part = Blobs().load().validation
    assert_told(told, balanced.respond(**part.inputs).responses, part)


def test_losses_are_those_of_the_criterion_without_the_floor_of_scores(tmp_path):
    class Sure(AdditiveNet):
        def forward(self, left, right):
            return 1e4 * super().forward(left, right)

    balanced = wrap_parts(Sure(), NAMES, Heard(), encoders={n: f"encoders.{n}" for n in NAMES})
    module = made()
    module.__init__(balanced, 3, optimizer=SGD(learning_rate=0.0))
    fit(module, tmp_path, max_epochs=1)
    assert balanced.method.evaluation.unimodal_loss.min() > 19  # scores end at 18.4


# -- from the command line -------------------------------------------------------------------------

SETTINGS = {
    "AGM": {"alpha": 0.7},
    "MSES": {"patience": 1, "weights": [0.5, 1.0]},
    "MSLR": {"mode": "keep", "factors": {"m1": 0.5, "m2": 2.0}},
    "GBlend": {"super_epoch": 1, "later": 1},
    "UnimodalLoss": {"weights": 0.5},
    "OGM": {"alpha": 0.3},
}


# Without heads that the network has: the contract, and where every method is killed and resumed.
@pytest.mark.parametrize(
    "fusion", ["additive", pytest.param("concatenation", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", METHODS)
def test_each_method_trains_by_its_short_name(name, fusion, tmp_path, monkeypatch):
    monkeypatch.setenv("COUNTERPOISE_RUNS", str(tmp_path / "store"))
    command = ["train", "--data=Synthetic", f"--method={name}"]
    command += [f"--method.{k}={v}" for k, v in SETTINGS.get(name, {}).items()]
    command += ["--data.num_train=64", "--data.num_validation=32", "--data.num_test=32"]
    command += [f"--model.fusion={fusion}", "--model.num_features=8", "--trainer.max_epochs=2"]
    assert main([*command, "--progress=false", f"--output={tmp_path / 'run'}"]) == 0
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["method"]["name"] == name
    for key, value in SETTINGS.get(name, {}).items():
        assert record["method"]["settings"][key] == value
    assert all(math.isfinite(epoch["validation/loss"]) for epoch in record["epochs"])


@pytest.mark.parametrize("method", [cp.MLA(3), cp.chain(cp.AGM(), cp.Remix())])
def test_a_method_of_several_steps_a_batch_is_refused_by_name(method):
    message = (
        rf"`balanced` should have a method that makes one step of a batch; found "
        rf"{re.escape(method.title())}, which makes several\. Train it in a loop of your own"
    )
    with pytest.raises(ValueError, match=message):
        made(method)


@pytest.mark.parametrize(
    "method", [cp.Windowed(cp.OGM(), 0, 1), cp.chain(cp.UnimodalLoss(), cp.AGM())]
)
def test_windows_and_chains_train_from_recipes_that_are_written_and_read(method, tmp_path):
    given = recipe(method=method)
    described = given.describe()["method"]
    record = train(given, tmp_path / "run", progress=False)
    assert record["method"]["name"] == method.title()
    read = read_recipe(tmp_path / "run" / "config.yaml")
    assert read.describe()["method"] == described


def test_encoders_and_additive_heads_come_from_the_network():
    data = Synthetic(num_train=64, num_validation=32, num_test=32)
    splits = data.load()
    with_heads = Recipe(data, cp.MSES(), Network(fusion="additive")).build(splits)
    assert set(with_heads.ownership.heads) == set(splits.modalities)
    owned = {n for ns in with_heads.ownership.owned.values() for n in ns}
    assert owned == {*with_heads.model.encoder_paths.values(), *with_heads.ownership.heads.values()}
    without = Recipe(data, cp.MSES(), Network(fusion="maxout")).build(splits)
    assert not without.ownership.heads
    assert set(without.ownership.encoders) == set(splits.modalities)


# -- packaged recipes ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in recipes.names() if n.startswith("digits-")])
def test_packaged_recipes_on_digits_differ_in_method_and_epochs_alone(name):
    described, joint = read_recipe(name).describe(), read_recipe("digits-joint").describe()
    differing = {key for key in joint if described[key] != joint[key]}
    assert differing <= {"method", "name", "trainer"}
    trainer = described["trainer"] | {"max_epochs": joint["trainer"]["max_epochs"]}
    assert trainer == joint["trainer"]


def test_each_method_has_a_recipe_on_digits():
    found = {type(read_recipe(n).method).__name__ for n in recipes.names() if "digits-" in n}
    assert found == set(METHODS)


# -- several processes -----------------------------------------------------------------------------


@pytest.mark.slow
def test_two_processes_stop_the_same_branches_and_end_together(tmp_path):
    command = [sys.executable, "-m", "counterpoise", "train", "--data=Synthetic", "--method=MSES"]
    command += ["--method.patience=1", "--data.num_train=123", "--optimizer.learning_rate=0.3"]
    command += ["--trainer.max_epochs=40", "--trainer.accelerator=cpu", "--trainer.devices=2"]
    command += ["--trainer.strategy=ddp", "--progress=false", f"--output={tmp_path / 'run'}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=900)
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    state = saved(tmp_path / "run")
    assert state["method.stopped"].all()
    assert len(record["epochs"]) - 1 == state["method.best_epoch"].max() + 1 < 39
    kept = [k for k in state if k.startswith("method.snapshots.branch0_")]
    owned = [k for k in state if k.startswith("model.encoders.m1.")]
    assert len(kept) == len(owned) > 0
    for copy, original in zip(kept, owned, strict=True):
        assert torch.equal(state[copy], state[original]), original
