"""The order of samples: complete, even over processes, resumable, and nobody else's business."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from counterpoise.data import Splits
from counterpoise.training import MultimodalDataModule
from counterpoise.training.data import BatchLoader, EpochOrder
from training.runs import Blobs, dataset

counts = st.integers(1, 97)


@given(counts, st.integers(1, 13), st.integers(1, 5), st.none() | st.integers(0, 2**32))
def test_every_sample_is_seen_once_by_one_process(num_samples, batch_size, num_processes, seed):
    parts = [
        list(EpochOrder(num_samples, batch_size, seed=seed, rank=r, num_processes=num_processes))
        for r in range(num_processes)
    ]
    assert len({len(part) for part in parts}) == 1
    seen = [index for part in parts for batch in part for index in batch]
    assert sorted(seen) == list(range(num_samples))
    for batches in zip(*parts, strict=True):
        sizes = [len(batch) for batch in batches]
        assert max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= 1


@given(counts, st.integers(1, 13), st.integers(0, 50))
def test_order_from_a_batch_on_is_the_rest_of_the_whole(num_samples, batch_size, epoch):
    order = EpochOrder(num_samples, batch_size, seed=7)
    order.set_epoch(epoch)
    whole = list(order)
    assert len(whole) == len(order)
    order.start = len(whole) // 2
    assert list(order) == whole[len(whole) // 2 :]


def test_several_processes_see_the_batches_of_one_with_a_larger_batch():
    whole = list(EpochOrder(59, 12, seed=5))
    parts = [list(EpochOrder(59, 4, seed=5, rank=r, num_processes=3)) for r in range(3)]
    joined = [[i for batch in batches for i in batch] for batches in zip(*parts, strict=True)]
    assert joined == whole


def test_order_depends_on_seed_and_epoch_alone():
    def drawn(seed, epoch):
        order = EpochOrder(59, 13, seed=seed)
        order.set_epoch(epoch)
        return list(order)

    assert drawn(3, 1) == drawn(3, 1)
    assert len({str(drawn(seed, epoch)) for seed in (3, 4) for epoch in (0, 1, 2)}) == 6


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [13] * 4 + [7]), (True, [13] * 4)])
def test_last_batch_is_smaller_or_dropped(drop_last, sizes):
    assert [len(b) for b in EpochOrder(59, 13, drop_last=drop_last)] == sizes


def test_loader_yields_whole_batches_in_order_and_leaves_the_random_state_alone():
    data = dataset(59, seed=0)
    loader = BatchLoader(lambda epoch: data, EpochOrder(59, 13, seed=5))
    before = torch.get_rng_state()
    batches = list(loader)
    assert torch.equal(torch.get_rng_state(), before)
    assert len(batches) == len(loader) == 5
    for batch, indices in zip(batches, loader.order, strict=True):
        assert torch.equal(batch["left"], data.inputs["left"][indices])
        assert torch.equal(batch["target"], data.target[indices])


def test_loaded_state_goes_on_within_the_epoch_and_then_with_whole_ones():
    def loader():
        return BatchLoader(lambda epoch: dataset(59, seed=0), EpochOrder(59, 13, seed=5))

    first, second = loader(), loader()
    iterator = iter(first)
    for _ in range(2):
        next(iterator)
    second.load_state_dict(first.state_dict())
    rest = [batch["target"] for batch in second]
    assert len(rest) == 3
    assert all(map(torch.equal, rest, (batch["target"] for batch in iterator)))
    assert len(list(second)) == 5


def test_epoch_that_was_left_early_does_not_shorten_the_next():
    loader = BatchLoader(lambda epoch: dataset(59, seed=0), EpochOrder(59, 13, seed=5))
    next(iter(loader))
    assert len(list(loader)) == 5


def test_workers_load_the_same_batches():
    def targets(num_workers):
        order = EpochOrder(59, 13, seed=5)
        loader = BatchLoader(lambda epoch: dataset(59, seed=0), order, num_workers=num_workers)
        return torch.cat([batch["target"] for batch in loader])

    assert torch.equal(targets(2), targets(0))


def test_data_that_change_with_the_epoch_are_those_of_the_epoch():
    loader = BatchLoader(lambda epoch: dataset(59, seed=epoch), EpochOrder(59, 59))
    loader.order.set_epoch(3)
    (batch,) = loader
    assert torch.equal(batch["left"], dataset(59, seed=3).inputs["left"])


def test_epoch_with_another_number_of_samples_is_refused():
    loader = BatchLoader(lambda epoch: dataset(59 + epoch, seed=0), EpochOrder(59, 13))
    loader.order.set_epoch(2)
    with pytest.raises(ValueError, match="should have 59 samples; found 61 at epoch 2"):
        next(iter(loader))


def test_module_shuffles_training_data_alone():
    data = MultimodalDataModule(Blobs().load(), batch_size=13, eval_batch_size=5, seed=3)
    train, validation = data.train_dataloader(), data.val_dataloader()
    assert torch.equal(torch.cat([b["target"] for b in validation]), data.splits.validation.target)
    assert torch.equal(
        torch.cat([b["target"] for b in data.test_dataloader()]), data.splits.test.target
    )
    assert list(train.order) == list(EpochOrder(59, 13, seed=3))
    assert len(next(iter(validation))["target"]) == 5
    assert data.num_training_batches() == 5
    assert data.num_training_batches(2) == 3


def test_batch_that_cannot_give_every_process_a_sample_is_dropped_in_training_only():
    data = MultimodalDataModule(Blobs().load(), batch_size=14)
    device = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(global_rank=3, world_size=4, strategy=device)
    assert [len(batch) for batch in data.train_dataloader().order] == [14]  # 59 = 56 + 3
    data.trainer.world_size = 29
    data.trainer.global_rank = 28
    assert [len(batch) for batch in data.test_dataloader().order] == [1]


def test_batch_larger_than_the_data_is_refused_where_it_would_be_dropped():
    data = MultimodalDataModule(Blobs().load(), batch_size=61, drop_last=True)
    with pytest.raises(ValueError, match=r"`batch_size` should leave at least one .* 61 of 59"):
        data.train_dataloader()


@pytest.mark.parametrize("name", ["batch_size", "eval_batch_size"])
def test_batch_size_is_checked(name):
    with pytest.raises(ValueError, match=f"`{name}` should be at least 1; found -1"):
        MultimodalDataModule(Blobs().load(), **{name: -1})


def test_other_data_are_refused_on_resume():
    state = MultimodalDataModule(Blobs().load()).state_dict()
    other = MultimodalDataModule(Blobs(seed=7).load())
    with pytest.raises(ValueError, match="data should be those of the run to resume"):
        other.load_state_dict(state)
    MultimodalDataModule(Blobs().load()).load_state_dict(state)


def test_changing_data_reach_the_module():
    splits = Blobs().load()
    changing = Splits(
        splits.name,
        splits.train,
        splits.validation,
        splits.test,
        splits.num_classes,
        splits.note,
        splits.source,
        splits.licence,
        train_at=lambda epoch: dataset(59, seed=epoch),
    )
    loader = MultimodalDataModule(changing, batch_size=59).train_dataloader()
    loader.order.set_epoch(2)
    (batch,) = loader
    expected = dataset(59, seed=2).inputs["right"][next(iter(loader.order))]
    assert torch.equal(batch["right"], expected)
