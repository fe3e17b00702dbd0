"""What the module tells the log, the method and the optimiser."""

import warnings
from contextlib import contextmanager

import pytest
import torch
from lightning.pytorch import Trainer
from torch import nn
from torch.nn import functional as F

import counterpoise as cp
from counterpoise.engine.rates import BranchRates
from counterpoise.training import (
    SGD,
    BalancedModule,
    Constant,
    MultimodalDataModule,
    StepLR,
    TorchSchedule,
)
from support.wrapping import wrap_parts
from training.runs import SIZES, Blobs, Net

NAMES = tuple(SIZES)
PATHS = {name: f"encoders.{name}" for name in NAMES}


class Told(cp.Method):
    """Notes what it is told, and answers what it was made with."""

    def __init__(self, rates=None, last_epoch=None):
        super().__init__()
        self.rates, self.last_epoch = rates, last_epoch
        self.epochs, self.evaluations = [], []

    def set_epoch(self, epoch):
        super().set_epoch(epoch)
        self.epochs.append(epoch)

    def on_validation(self, evaluation, branches):
        self.evaluations.append(evaluation)

    def learning_rates(self):
        return None if self.rates is None else torch.tensor(self.rates)

    def finished(self):
        return self.last_epoch is not None and self.epoch >= self.last_epoch


def made(method=None, optimizer=None, schedule=None, **options):
    torch.manual_seed(5)
    balanced = wrap_parts(Net(), NAMES, method or cp.AGM(), encoders=PATHS, **options)
    optimizer = optimizer or SGD(learning_rate=0.05)
    return BalancedModule(balanced, 3, optimizer=optimizer, schedule=schedule)


@contextmanager
def lightning_alone():
    """A trainer as users make it, where Lightning itself calls what torch has deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
        yield


def fit(module, tmp_path, *, splits=None, batch_size=13, max_epochs=2, **options):
    data = MultimodalDataModule(splits or Blobs().load(), batch_size, seed=3)
    trainer = Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        max_epochs=max_epochs,
        num_sanity_val_steps=0,
        log_every_n_steps=options.pop("log_every_n_steps", 2),
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        inference_mode=False,
        **options,
    )
    with lightning_alone():
        trainer.fit(module, datamodule=data)
    return trainer


def evaluated(module, part):
    """The same by one batch and plain functions."""
    balanced = module.balanced.eval()
    out = balanced.respond(**part.inputs, target=part.target)
    accuracy = (out.logits.argmax(dim=1) == part.target).float().mean()
    each = (out.responses.argmax(dim=2) == part.target).float().mean(dim=1)
    return F.cross_entropy(out.logits, part.target), accuracy, out.scores, each


def test_epochs_are_logged_as_a_plain_evaluation_gives_them(tmp_path):
    module = made()
    logged = fit(module, tmp_path).callback_metrics
    loss, accuracy, scores, each = evaluated(module, Blobs().load().validation)
    torch.testing.assert_close(logged["validation/loss"], loss)
    torch.testing.assert_close(logged["validation/accuracy"], accuracy)
    for m, name in enumerate(NAMES):
        torch.testing.assert_close(logged[f"validation/response/{name}/score"], scores[m])
        torch.testing.assert_close(logged[f"validation/response/{name}/accuracy"], each[m])
    assert {"train/loss", "train/accuracy"} <= set(logged)


def test_training_loss_of_an_epoch_weighs_every_sample_alike(tmp_path):
    module = made(optimizer=SGD(learning_rate=0.0, momentum=0.0))
    losses, sizes = [], []
    step = module.training_step

    def noted(batch, batch_idx):
        result = step(batch, batch_idx)
        losses.append(result["loss"].item())
        sizes.append(len(batch["target"]))
        return result

    module.training_step = noted
    logged = fit(module, tmp_path, max_epochs=1).callback_metrics
    assert sorted(sizes) == [7, 13, 13, 13, 13]
    mean = sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / 59
    assert logged["train/loss"].item() == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize(
    ("method", "monitor", "kinds"),
    [
        (cp.Joint, False, set()),
        (cp.Joint, True, {"response/{}/score", "response/{}/accuracy"}),
        (cp.AGM, False, {"response/{}/score", "response/{}/accuracy", "coefficient/{}"}),
    ],
)
def test_step_records_what_the_method_has(method, monitor, kinds, tmp_path):
    module = made(method(), monitor=monitor)
    records, step = [], module.training_step

    def noted(batch, batch_idx):
        result = step(batch, batch_idx)
        records.append(result.get("values"))
        return result

    module.training_step = noted
    fit(module, tmp_path)
    assert [values is not None for values in records] == [False, True] * 5
    expected = {"train/loss_step", "train/accuracy_step"}
    expected |= {kind.format(name) for kind in kinds for name in NAMES}
    assert all(set(values) == expected for values in records if values)
    assert all(v.dim() == 0 and not v.requires_grad for v in records[1].values())


def test_steps_of_accumulated_batches_are_recorded_once(tmp_path):
    module = made()
    records, step = [], module.training_step

    def noted(batch, batch_idx):
        result = step(batch, batch_idx)
        records.append("values" in result)
        return result

    module.training_step = noted
    # 5 batches: steps after the second, the fourth and, as the epoch ends, the fifth.
    fit(module, tmp_path, accumulate_grad_batches=2, log_every_n_steps=1, max_epochs=1)
    assert records == [False, True, False, True, True]


def test_method_hears_of_epochs_and_validations(tmp_path):
    method = Told()
    module = made(method)
    fit(module, tmp_path, max_epochs=3)
    assert list(dict.fromkeys(method.epochs)) == [0, 1, 2]
    assert [evaluation.epoch for evaluation in method.evaluations] == [0, 1, 2]
    loss, accuracy, scores, each = evaluated(module, Blobs().load().validation)
    last = method.evaluations[-1]
    assert last.loss == pytest.approx(loss.item(), rel=1e-5)
    assert last.accuracy == pytest.approx(accuracy.item())
    torch.testing.assert_close(last.unimodal_loss, scores)
    torch.testing.assert_close(last.unimodal_accuracy, each)


def test_method_never_hears_of_test_data(tmp_path):
    method = Told()
    module = made(method)
    trainer = fit(module, tmp_path, max_epochs=1)
    with lightning_alone():
        trainer.test(module, datamodule=MultimodalDataModule(Blobs().load()), verbose=False)
    assert len(method.evaluations) == 1


def test_method_may_end_training(tmp_path):
    trainer = fit(made(Told(last_epoch=1)), tmp_path, max_epochs=7)
    assert trainer.current_epoch == 2


def test_rates_scale_a_branch_and_zero_freezes_it_with_its_statistics(tmp_path):
    module = made(Told(rates=[0.0, 1.0]))
    before = {k: v.clone() for k, v in module.balanced.model.state_dict().items()}
    fit(module, tmp_path)
    after = module.balanced.model.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(name.startswith("encoders.left") for name in moved)
    assert {"encoders.right.0.weight", "encoders.right.1.running_mean", "head.weight"} <= moved


def test_rates_multiply_the_schedule_of_their_branch_alone():
    module = made(Told(rates=[0.5, 2.0]))
    optimizer = module.configure_optimizers()["optimizer"]
    module.rates.refresh()
    with module.rates.applied(optimizer):
        assert [group["lr"] for group in optimizer.param_groups] == [0.025, 0.1, 0.05]
    assert [group["lr"] for group in optimizer.param_groups] == [0.05] * 3


def test_thawed_branch_trains_again_except_what_the_user_froze():
    method = Told(rates=[0.0, 1.0])
    balanced = wrap_parts(Net(), NAMES, method, encoders=PATHS)
    balanced.train()
    left = balanced.model.encoders["left"]
    left[2].eval()
    rates = BranchRates(balanced)
    rates.refresh()
    assert not any(part.training for part in left.modules())
    assert balanced.model.encoders["right"].training
    method.rates = [1.0, 1.0]
    rates.refresh()
    assert [part.training for part in left] == [True, True, False]


def test_plain_steps_are_those_of_torch(tmp_path):
    module, splits = made(cp.Joint()), Blobs().load()
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    twin = Net()
    twin.load_state_dict(module.balanced.model.state_dict())
    for part in twin.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    fit(module, tmp_path, splits=splits, gradient_clip_val=0.7)
    loader = MultimodalDataModule(splits, 13, seed=3).train_dataloader()
    for epoch in range(2):
        loader.order.set_epoch(epoch)
        for batch in loader:
            optimizer.zero_grad()
            F.cross_entropy(twin(batch["left"], batch["right"]), batch["target"]).backward()
            nn.utils.clip_grad_norm_(twin.parameters(), 0.7)
            optimizer.step()
    torch.testing.assert_close(module.balanced.model.state_dict(), twin.state_dict())


def test_schedule_moves_once_an_epoch(tmp_path):
    module = made(schedule=StepLR(every=2, factor=0.1))
    trainer = fit(module, tmp_path, max_epochs=3)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.005)


def test_schedule_may_be_left_out(tmp_path):
    module = made(schedule=Constant())
    trainer = fit(module, tmp_path, max_epochs=2)
    assert trainer.optimizers[0].param_groups[0]["lr"] == 0.05


def test_a_schedule_by_validation_asks_for_one(tmp_path):
    module = made(schedule=TorchSchedule("torch.optim.lr_scheduler.ReduceLROnPlateau"))
    with pytest.raises(ValueError, match="`schedule` should have a validation loss to go by"):
        fit(module, tmp_path, limit_val_batches=0)


def test_score_that_is_not_finite_ends_training_with_its_name(tmp_path):
    splits = Blobs().load()
    splits.train.inputs["right"][:] = torch.nan
    module = made()
    for name in NAMES:  # whose statistics would carry NaN over to every coalition
        module.balanced.model.encoders[name][1] = nn.Identity()
    with pytest.raises(FloatingPointError, match="score of modality 'right' should be finite"):
        fit(module, tmp_path, splits=splits, log_every_n_steps=1)
