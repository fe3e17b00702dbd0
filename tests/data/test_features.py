import re

import numpy as np
import pytest
import torch

from counterpoise.data import Splits
from counterpoise.data.features import Features

N, NUM_CLASSES = 101, 3
SHAPES = {"left": (5,), "right": (7,), "far": (2, 3)}


def content(**changes):
    """61 training and 31 test samples; classes 0, 1 and 2 are a half, a third and a sixth."""
    rng = np.random.default_rng(0)
    arrays = {
        "label": np.array([0, 0, 0, 1, 1, 2] * 17)[:N],
        "train_idx": np.arange(61),
        "test_idx": np.arange(70, N),
        **{name: rng.normal(3, 2, (N, *shape)) for name, shape in SHAPES.items()},
    }
    arrays |= changes
    return {key: array for key, array in arrays.items() if array is not None}


@pytest.fixture
def write(tmp_path):
    def write(**changes):
        np.savez(tmp_path / "toy.npz", **content(**changes))
        return tmp_path / "toy.npz"

    return write


def test_samples_keep_their_split_and_their_labels(write):
    splits = Features(write(), validation=0.2, standardise=False).load()
    arrays = content()
    assert (splits.name, splits.num_classes, splits.modalities) == ("toy", 3, tuple(SHAPES))
    assert torch.equal(splits.test.target, torch.from_numpy(arrays["label"][70:]))
    assert torch.equal(splits.test.inputs["right"], torch.tensor(arrays["right"][70:]).float())
    rows = {row.tobytes(): index for index, row in enumerate(np.float32(arrays["left"]))}
    places = {}
    for part in ("train", "validation"):
        dataset = getattr(splits, part)
        places[part] = [rows[row.numpy().tobytes()] for row in dataset.inputs["left"]]
        assert dataset.target.tolist() == arrays["label"][places[part]].tolist()
        far = torch.tensor(arrays["far"][places[part]]).float()
        assert torch.equal(dataset.inputs["far"], far)
    assert sorted(places["train"] + places["validation"]) == list(range(61))


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
def test_each_class_gives_its_share_to_validation_and_keeps_a_sample(write, share):
    splits = Features(write(), validation=share).load()
    for label in range(NUM_CLASSES):
        count = int((content()["label"][:61] == label).sum())
        kept = int((splits.validation.target == label).sum())
        assert kept == min(max(round(share * count), 1), count - 1)
        assert int((splits.train.target == label).sum()) == count - kept


def test_the_seed_decides_which_samples_are_for_validation(write):
    path = write()
    first, again, other = (Features(path, seed=seed).load() for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint
    raw = [Features(path, seed=seed, standardise=False).load().test for seed in (0, 1)]
    assert raw[0].fingerprint == raw[1].fingerprint


def test_training_samples_alone_set_mean_and_deviation(write):
    right = content()["right"]
    right[:, 0] = 0.1  # whose computed deviation is not quite 0
    right[70:, 0] = 5
    splits = Features(write(right=right)).load()
    for values in splits.train.inputs.values():
        flat = values.double().flatten(1)
        torch.testing.assert_close(
            flat.mean(0), torch.zeros(flat.shape[1]).double(), atol=1e-6, rtol=0
        )
    assert splits.train.inputs["right"][:, 0].eq(0).all()
    assert splits.test.inputs["right"][:, 0].eq(0).all()
    torch.testing.assert_close(
        splits.train.inputs["left"].std(0, correction=0), torch.ones(5), atol=1e-5, rtol=0
    )
    raw = Features(write(right=right), standardise=False).load()
    mean = raw.train.inputs["left"].double().mean(0)
    deviation = raw.train.inputs["left"].double().std(0, correction=0)
    torch.testing.assert_close(
        splits.test.inputs["left"], ((raw.test.inputs["left"] - mean) / deviation).float()
    )
    raw_test = raw.test.inputs["right"][:, 0]
    assert raw_test.eq(5).all()


def test_modalities_are_chosen_and_ordered(write):
    splits = Features(write(), modalities=["far", "left"]).load()
    assert splits.sample_shapes == {"far": (2, 3), "left": (5,)}


def test_labels_may_be_words_or_any_integers(write):
    words = np.array(["b", "c", "a"])[content()["label"]]
    assert Features(write(label=words)).load().test.target[:3].tolist() == [2, 0, 1]
    numbers = 10 * content()["label"] - 4
    assert Features(write(label=numbers)).load().num_classes == 3


def test_environment_variables_are_looked_up_when_reading(write, monkeypatch):
    path = write()
    source = Features("${FOLDER_OF_TOYS}/$NAME_OF_TOY.npz")
    assert source.path == "${FOLDER_OF_TOYS}/$NAME_OF_TOY.npz"
    monkeypatch.setenv("FOLDER_OF_TOYS", str(path.parent))
    monkeypatch.setenv("NAME_OF_TOY", "toy")
    splits = source.load()
    assert isinstance(splits, Splits)
    assert splits.source == source.path  # the same on every machine
    monkeypatch.delenv("FOLDER_OF_TOYS")
    with pytest.raises(
        ValueError,
        match=r"`path` should name environment variables that are set; "
        r"found \$FOLDER_OF_TOYS in .* Set it to the folder of the data",
    ):
        source.load()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test_idx": None}, "should hold 'label', 'train_idx', 'test_idx'; found 'label'"),
        ({"left": None, "right": None, "far": None}, "should hold an array for each modality"),
        ({"label": np.zeros((N, 2), int)}, "one integer or string a sample; found int64 of shape"),
        ({"label": np.zeros(N)}, "one integer or string a sample; found float64"),
        ({"label": np.zeros(N, int)}, "should have at least 2 classes; found 1"),
        ({"right": np.zeros((83, 7))}, "should have 101 samples, as many as labels; found 83"),
        ({"right": np.zeros(N)}, "should be floating-point numbers of shape (N, ...); found"),
        ({"right": np.zeros((N, 7), int)}, "should be floating-point numbers"),
        ({"right": np.full((N, 7), np.nan)}, "should be finite; found 707 values"),
        ({"target": np.zeros((N, 7))}, "should not hold a modality named 'target'"),
        ({"train_idx": np.arange(-3, 5)}, "should be in [0, 101); found -3 to 4"),
        ({"test_idx": np.arange(70, 103)}, "should be in [0, 101); found 70 to 102"),
        ({"test_idx": np.array([], int)}, "should be integers of shape (n,), at least one"),
        ({"train_idx": np.arange(61.0)}, "should be integers of shape (n,), at least one"),
        ({"train_idx": np.array([0, 1, 2, 2])}, "should hold each sample once; found 1 repeated"),
        ({"test_idx": np.arange(59, N)}, "should share no sample; found 2 in both"),
        ({"train_idx": np.arange(5)}, "at least 2 samples of each class"),
        ({"train_idx": np.array([0, 1, 2, 3, 4, 5])}, "for validation; found 1 of class 2"),
    ],
)
def test_a_wrong_file_is_refused_by_what_is_wrong(write, changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Features(write(**changes)).load()


def test_a_missing_or_damaged_file_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`path` should be an \.npz file .* found no file"):
        Features(tmp_path / "none.npz").load()
    for name, damage in (("text.npz", b"hello"), ("empty.npz", b""), ("cut.npz", b"PK\x03\x04ab")):
        (tmp_path / name).write_bytes(damage)
        with pytest.raises(ValueError, match=r"should be an \.npz archive of plain arrays; found"):
            Features(tmp_path / name).load()
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ValueError, match="it holds a single array"):
        Features(tmp_path / "one.npy").load()
    np.savez(tmp_path / "objects.npz", label=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        Features(tmp_path / "objects.npz").load()


def test_unknown_modalities_are_refused_with_the_nearest(write):
    with pytest.raises(ValueError, match=r"'rigth'\. Did you mean 'right'\?"):
        Features(write(), modalities=("rigth",)).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 0.0}, "`validation` should be finite, above 0"),
        ({"validation": 1.0}, "`validation` should be finite, above 0"),
        ({"seed": -1}, "`seed` should be at least 0; found -1"),
        ({"modalities": ()}, "`modalities` should name 1 or more; found 0."),
        ({"modalities": ("a", "a")}, "`modalities` should name each once; found 'a' several"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Features("toy.npz", **options)
