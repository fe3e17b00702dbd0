"""What BalancedTrainer writes, resumes from, and refuses."""

from pathlib import Path

import pytest
import torch
from transformers import Trainer

import counterpoise as cp
from counterpoise.integrations import BalancedTrainer
from integrations.test_huggingface import assert_equal, weights
from integrations.towers import Plain, Towers, arguments, table, towers


def run(folder, *, method=None, resume=None, **options):
    trainer = BalancedTrainer(
        towers(method),
        arguments(folder, **{"num_train_epochs": 2, "save_strategy": "steps", **options}),
        train_dataset=table(),
        eval_dataset=table(15, seed=1),
    )
    trainer.train(resume_from_checkpoint=resume)
    return trainer


@pytest.mark.parametrize("stop", [3, 4])  # within an epoch, and at its end
def test_a_resumed_run_comes_to_the_same_bits(tmp_path, stop):
    options = {"save_steps": stop, "optim": "adamw_torch", "learning_rate": 0.01}
    whole = run(tmp_path / "whole", **options)
    resumed = run(tmp_path / "again", resume=str(tmp_path / f"whole/checkpoint-{stop}"), **options)
    assert_equal(weights(resumed.balanced), weights(whole.balanced))
    state, expected = resumed.balanced.method.state_dict(), whole.balanced.method.state_dict()
    assert torch.isfinite(resumed.balanced.method.running_scores).all()
    assert_equal(state, expected)


def test_a_resumed_run_remembers_validation(tmp_path):
    options = {"save_steps": 4, "num_train_epochs": 4, "eval_strategy": "epoch"}
    whole = run(tmp_path / "whole", method=cp.MSLR("smooth"), **options)
    half = str(tmp_path / "whole/checkpoint-8")
    resumed = run(tmp_path / "again", method=cp.MSLR("smooth"), resume=half, **options)
    assert_equal(weights(resumed.balanced), weights(whole.balanced))


def test_a_checkpoint_is_the_users_model_with_tied_weights(tmp_path):
    trainer = run(tmp_path, save_steps=8)
    loaded = Towers.from_pretrained(tmp_path / "checkpoint-8")
    assert loaded.left_projection.weight is loaded.right_projection.weight
    assert_equal(dict(loaded.state_dict()), dict(trainer.balanced.model.state_dict()))


def test_the_best_weights_come_back_with_the_methods_state(tmp_path):
    options = {"eval_strategy": "steps", "eval_steps": 1, "save_steps": 1, "learning_rate": 1.5}
    trainer = run(tmp_path, load_best_model_at_end=True, **options)
    best = Path(trainer.state.best_model_checkpoint)
    assert best.name != "checkpoint-8"
    loaded = Towers.from_pretrained(best)
    assert_equal(dict(loaded.state_dict()), dict(trainer.balanced.model.state_dict()))
    kept = torch.load(best / "counterpoise.pt", weights_only=True)
    found = {f"method.{k}": v for k, v in trainer.balanced.method.state_dict().items()}
    assert_equal(kept, found)


def test_saving_twice_leaves_one_whole_file(tmp_path):
    trainer = run(tmp_path, save_strategy="no")
    for _ in range(2):
        trainer.save_model(str(tmp_path / "kept"))
    assert {path.name for path in (tmp_path / "kept").glob("counterpoise*")} == {"counterpoise.pt"}


def test_a_checkpoint_of_another_trainer_is_refused(tmp_path):
    other = Trainer(
        Towers(towers().model.config),
        arguments(tmp_path, save_strategy="epoch"),
        train_dataset=table(),
    )
    other.train()
    with pytest.raises(ValueError, match=r"should hold the state of the method, 'counterpoise.pt'"):
        run(tmp_path / "again", resume=str(tmp_path / "checkpoint-4"))


def test_a_checkpoint_of_another_method_is_refused(tmp_path):
    run(tmp_path, save_steps=4)
    with pytest.raises(ValueError, match=r"same method and wrapper; found that it differs in"):
        run(tmp_path / "again", method=cp.Joint(), resume=str(tmp_path / "checkpoint-4"))


# -- what is refused ---------------------------------------------------------------------------


def test_a_model_that_is_not_wrapped_is_refused(tmp_path):
    with pytest.raises(
        TypeError, match=r"`model` should be a counterpoise.Balanced; found a Plain"
    ):
        BalancedTrainer(Plain(), arguments(tmp_path))


def test_label_smoothing_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match=r"should be 0.*found 0.1. .*label_smoothing=0.1\)"):
        BalancedTrainer(towers(), arguments(tmp_path, label_smoothing_factor=0.1))


def test_a_loss_function_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ValueError, match=r"`compute_loss_func` should be None.*criterion="):
        BalancedTrainer(towers(), arguments(tmp_path), compute_loss_func=lambda *_, **__: None)


def test_several_columns_of_labels_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"one column that is the target; found \['one', 'two'\]"):
        BalancedTrainer(towers(), arguments(tmp_path, label_names=["one", "two"]))


def test_a_column_of_labels_that_is_not_named_is_asked_for(tmp_path):
    data = table(7).rename_column("labels", "emotion")
    trainer = BalancedTrainer(towers(), arguments(tmp_path), train_dataset=data)
    with pytest.raises(ValueError, match="labels as numbers in 'labels'; found 'left', 'right'"):
        trainer.train()


def test_a_method_of_several_steps_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"one step of a batch.*found MLA, which makes several"):
        BalancedTrainer(towers(cp.MLA(5)), arguments(tmp_path))


def test_several_evaluation_sets_are_refused_where_the_method_goes_by_one(tmp_path):
    sets = {"near": table(11), "far": table(13)}
    with pytest.raises(ValueError, match=r"one data set, by which MSES goes; found 2"):
        BalancedTrainer(towers(cp.MSES()), arguments(tmp_path), eval_dataset=sets)


def test_several_devices_in_one_process_are_refused(tmp_path):
    given = arguments(tmp_path)
    given._n_gpu = 3
    with pytest.raises(ValueError, match=r"found 3 in one process. .*torchrun --nproc-per-node 3"):
        BalancedTrainer(towers(), given)


def test_an_optimiser_without_groups_is_refused_where_rates_are_set(tmp_path):
    balanced = towers(cp.MSLR("keep", factors=[0.5, 1.0]))
    optimiser = torch.optim.SGD(balanced.parameters(), lr=0.1)
    trainer = BalancedTrainer(
        balanced, arguments(tmp_path), train_dataset=table(), optimizers=(optimiser, None)
    )
    with pytest.raises(ValueError, match=r"Make it of balanced.parameter_groups\(\)"):
        trainer.train()
