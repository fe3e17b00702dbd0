"""BalancingCallback against plain loops over the same batches."""

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import counterpoise as cp
from counterpoise.integrations import BalancingCallback
from integrations.towers import ENCODERS, NAMES, Plain, table, tensors

pytestmark = [
    # Lightning 2.6 calls what torch 2.9 deprecated, and minds few workers; nobody can help it.
    pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*log_every_n_steps"),
    pytest.mark.filterwarnings("ignore:.*but have no `val_dataloader`"),
]


class Mine(pl.LightningModule):
    """A module as somebody writes it who has never read our code."""

    def __init__(self, method, *, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.wrapped = cp.Balanced(Plain(), ENCODERS, method)
        self.modes = []

    def training_step(self, batch, batch_idx):
        out = self.wrapped(**keywords(batch))
        self.modes.append(self.wrapped.model.left_tower.training)
        self.log("train/loss", out.loss)
        return out.loss

    def validation_step(self, batch, batch_idx):
        left, right, target = batch
        self.log("validation/loss", self.wrapped(left=left, right=right, target=target).loss)

    def configure_optimizers(self):
        optimiser = torch.optim.SGD(self.wrapped.parameter_groups(), lr=0.1, momentum=0.9)
        scheduler = torch.optim.lr_scheduler.ExponentialLR(optimiser, 0.9)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }


def keywords(batch):
    left, right, target = batch
    return {"left": left, "right": right, "target": target}


def loader(num_rows=28, seed=0, batch_size=7):
    data = tensors(table(num_rows, seed))
    return DataLoader(TensorDataset(*(data[n] for n in (*NAMES, "labels"))), batch_size)


def fit(module, *, folder=None, callback=None, validation=None, path=None, **options):
    trainer = pl.Trainer(
        **{"max_epochs": 2, "logger": False, "enable_checkpointing": False, **options},
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        callbacks=[BalancingCallback(keywords) if callback is None else callback],
    )
    trainer.fit(module, loader(), validation, ckpt_path=path)
    return trainer


def by_hand(method, num_epochs=2):
    """The same by the loop of the documentation."""
    module = Mine(method)
    balanced = module.wrapped
    made = module.configure_optimizers()
    optimiser, scheduler = made["optimizer"], made["lr_scheduler"]["scheduler"]
    rates = cp.BranchRates(balanced)
    for epoch in range(num_epochs):
        rates.start_epoch(epoch)
        for batch in loader():
            optimiser.zero_grad()
            balanced(**keywords(batch)).loss.backward()
            rates.step(optimiser)
            scheduler.step()
    return balanced


def assert_equal(ours, theirs):
    state = theirs.state_dict()
    assert ours.state_dict().keys() == state.keys()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=0, atol=0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: cp.AGM(alpha=1.7),
        lambda: cp.MSLR("keep", factors=[0.5, 2.0]),
        lambda: cp.MSLR("keep", factors=[0.0, 1.0]),
    ],
)
def test_it_trains_as_the_plain_loop_does(make):
    module = Mine(make())
    fit(module)
    assert_equal(module.wrapped, by_hand(make()))


def test_scores_and_coefficients_are_logged_by_modality():
    module = Mine(cp.AGM(alpha=1.7))
    trainer = fit(module)
    for name in NAMES:
        assert trainer.callback_metrics[f"response/{name}/score"] > 0
        assert trainer.callback_metrics[f"coefficient/{name}"] > 0


def test_a_frozen_branch_stands_in_eval_mode():
    module = Mine(cp.MSLR("keep", factors=[0.0, 1.0]))
    fit(module, validation=loader(11, seed=1))
    assert module.modes == [False] * 8


def test_a_method_that_goes_by_validation_ends_training():
    module = Mine(cp.MSES(patience=1))
    trainer = fit(module, max_epochs=60, validation=loader(15, seed=1))
    assert module.wrapped.method.finished()
    assert trainer.current_epoch < 60


@pytest.mark.filterwarnings("ignore:.*dataloader_idx.*:UserWarning")
def test_one_validation_loader_is_asked_for_in_any_form_and_in_keywords():
    module = Mine(cp.MSLR(window=1))
    fit(module, validation=[loader(11, seed=1)])
    assert module.wrapped.method.num_epochs == 2
    several = Mine(cp.MSLR(window=1))
    several.validation_step = lambda batch, batch_idx, dataloader_idx: None
    with pytest.raises(ValueError, match="one validation loader, by which MSLR goes; found 2"):
        fit(several, validation={"a": loader(11), "b": loader(11)})
    with pytest.raises(TypeError, match=r"should be a mapping of keywords .* found a list"):
        fit(module, callback=BalancingCallback(), validation=loader(11))


@pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint")
def test_a_resumed_run_comes_to_the_same_bits(tmp_path):
    kept = pl.callbacks.ModelCheckpoint(tmp_path, every_n_epochs=1, save_top_k=-1)
    whole = Mine(cp.AGM(alpha=1.7))
    trainer = pl.Trainer(
        max_epochs=3,
        logger=False,
        accelerator="cpu",
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[BalancingCallback(), kept],
    )
    trainer.fit(whole, loader())
    path = tmp_path / "epoch=0-step=4.ckpt"
    resumed = Mine(cp.AGM(alpha=1.7), seed=5)
    fit(resumed, path=path, max_epochs=3)
    assert_equal(resumed.wrapped, whole.wrapped)


def test_hooks_are_taken_away_again():
    module = Mine(cp.AGM())
    trainer = fit(module)
    assert not module.wrapped._forward_hooks
    (optimiser,) = trainer.optimizers
    assert not optimiser._optimizer_step_pre_hooks
    assert not optimiser._optimizer_step_post_hooks


def test_a_module_without_a_wrapped_model_is_refused():
    module = Mine(cp.AGM())
    module.wrapped = module.wrapped.model
    module.configure_optimizers = lambda: torch.optim.SGD(module.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"should hold one counterpoise.Balanced; found none"):
        fit(module)


def test_of_several_wrapped_models_one_has_to_be_said():
    module = Mine(cp.AGM())
    module.teacher = cp.Balanced(Plain(), ENCODERS, cp.Joint())
    with pytest.raises(ValueError, match=r"found Balanced, Balanced. .*say by `attribute`"):
        fit(module)
    fit(module, callback=BalancingCallback(attribute="wrapped"))
    assert module.wrapped.method.running_scores.isfinite().all()


def test_a_method_of_several_steps_is_refused():
    with pytest.raises(ValueError, match=r"one step of a batch under Lightning; found MLA"):
        fit(Mine(cp.MLA(5)))


def test_an_optimiser_without_groups_is_refused_where_rates_are_set():
    module = Mine(cp.MSLR("keep", factors=[0.5, 2.0]))
    module.configure_optimizers = lambda: torch.optim.SGD(module.parameters(), lr=0.1)
    with pytest.raises(ValueError, match=r"MSLR sets learning rates of branches; found 1 without"):
        fit(module)
