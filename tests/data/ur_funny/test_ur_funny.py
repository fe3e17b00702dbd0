"""UR-Funny from both forms of its files."""

import pickle

import numpy as np
import pytest
import torch

from counterpoise.data import URFunny
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.pickles import UnsafePickleError
from support.affective import LENGTH, SIZES, humor, make_ur_funny, write_pickle

LABELS_WARNING = "ignore:humor_label_sdk.pkl has 23 labels"


@pytest.fixture
def single(tmp_path):
    return write_pickle(tmp_path / "humor.pkl", humor())


@pytest.fixture
def features(tmp_path):
    return make_ur_funny(tmp_path / "sdk")


def expected_sample(part, row):
    """A plain reading of one sample: cut where the words begin, minus infinity as 0."""
    text = part["text"][row]
    start = next(step for step in range(LENGTH) if text[step].any())
    sample = {name: part[name][row][start:].copy() for name in SIZES}
    sample["audio"][np.isneginf(sample["audio"])] = 0
    return sample, int(part["labels"][row, 0] >= 1)


def test_sequences_begin_with_the_first_word_and_samples_without_words_are_left_out(single):
    splits = URFunny(root=single.parent).load()
    content = humor()
    assert splits.modalities == ("text", "audio", "vision")
    for data, key in ((splits.train, "train"), (splits.validation, "valid"), (splits.test, "test")):
        rows = [row for row in range(23) if row != 3]
        assert len(data) == 22
        for index, row in enumerate(rows):
            sample, label = expected_sample(content[key], row)
            found = data[index]
            assert int(found["target"]) == label
            for name in SIZES:
                assert found[name].dtype == torch.float32
                assert np.array_equal(found[name].numpy(), sample[name])


def test_a_batch_is_as_long_as_its_longest_sample_padded_with_zeros(single):
    data = URFunny(root=single).load().train
    lengths = [len(data[index]["text"]) for index in range(len(data))]
    order = sorted(range(len(data)), key=lengths.__getitem__)
    batch = data.__getitems__([order[0], order[9]])
    assert batch["audio"].shape == (2, lengths[order[9]], SIZES["audio"])
    for name in SIZES:
        assert not batch[name][0, lengths[order[0]] :].any()
        assert torch.equal(batch[name][0, : lengths[order[0]]], data[order[0]][name])


def test_the_path_of_the_file_and_its_folder_are_the_same_data(single):
    one, other = URFunny(root=single).load(), URFunny(root=single.parent).load()
    assert one.fingerprint == other.fingerprint
    assert one.num_classes == 2


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_gives_the_same_data(tmp_path, protocol):
    path = write_pickle(tmp_path / "humor.pkl", humor(), protocol)
    batch = URFunny(root=path).load().test.__getitems__(range(22))
    assert float(batch["text"].sum()) == pytest.approx(
        sum(
            float(expected_sample(humor()["test"], row)[0]["text"].sum())
            for row in range(23)
            if row != 3
        ),
        rel=1e-5,
    )


@pytest.mark.filterwarnings(LABELS_WARNING)
@pytest.mark.parametrize("context", [False, True])
def test_the_six_pickles_are_joined_by_the_folds(features, context):
    splits = URFunny(root=features, context=context).load()
    content = {path.stem: pickle.loads(path.read_bytes()) for path in features.iterdir()}
    vectors = np.array(content["word_embedding_list"], np.float32)
    for data, key in ((splits.train, "train"), (splits.validation, "dev"), (splits.test, "test")):
        assert len(data) == 7
        for index, identity in enumerate(content["data_folds"][key]):
            language = content["language_sdk"][identity]
            words = language["punchline_embedding_indexes"]
            spoken = content["covarep_features_sdk"][identity]
            sound = spoken["punchline_features"]
            if context:
                words = language["context_embedding_indexes"][0] + words
                sound = np.concatenate([*spoken["context_features"], sound])
            found = data[index]
            assert np.array_equal(found["text"].numpy(), vectors[words])
            assert np.array_equal(found["audio"].numpy(), sound.astype(np.float32))
            assert len(found["vision"]) == len(words)
            assert int(found["target"]) == content["humor_label_sdk"][identity]


@pytest.mark.filterwarnings(LABELS_WARNING)
def test_padding_is_zero_and_not_the_vector_of_word_0(features):
    data = URFunny(root=features).load().train
    batch = data.__getitems__([0, 6])
    assert batch["text"].shape[1] == 9
    assert not batch["text"][0, 3:].any()
    assert data.sample_shapes["text"] == (50, SIZES["text"])


@pytest.mark.filterwarnings(LABELS_WARNING)
def test_the_last_words_of_long_samples_are_kept(features):
    whole = URFunny(root=features).load().train[6]
    cut = URFunny(root=features, max_length=4).load().train[6]
    for name in SIZES:
        assert torch.equal(cut[name], whole[name][-4:])


def test_a_file_of_labels_larger_than_the_folds_is_warned_of(features):
    with pytest.warns(UserWarning, match=r"humor_label_sdk.pkl has 23 labels, data_folds.pkl 21"):
        URFunny(root=features).load()


def change(content, part, key, value):
    content[part][key] = value
    return content


@pytest.mark.parametrize(
    ("spoil", "trouble"),
    [
        (lambda c: [c], "hold a dictionary with 'train'; found list"),
        (lambda c: {"train": c["train"]}, "with 'valid' or 'dev'; found 'train'"),
        (
            lambda c: change(c, "train", "text", np.zeros((23, 11))),
            r"\(any, any, any\) as text of t",
        ),
        (
            lambda c: change(c, "test", "audio", np.zeros((23, 5, 5))),
            r"shape \(23, 11, any\) as audio of test; found float64 of shape \(23, 5, 5\)",
        ),
        (
            lambda c: change(c, "valid", "vision", np.full((23, 11, 7), np.nan)),
            "found 1771 others, s",
        ),
        (lambda c: change(c, "train", "vision", np.full((23, 11, 7), 1e39)), "such as 1e\\+39"),
        (
            lambda c: change(c, "train", "labels", np.zeros(22)),
            "hold 23 labels, .* found float",
        ),
        (lambda c: change(c, "train", "labels", ["a"] * 23), "hold 23 labels, one for each"),
        (
            lambda c: change(c, "test", "text", np.zeros((23, 11, 13))),
            "samples with words for test",
        ),
    ],
)
def test_a_file_that_holds_something_else_is_named(tmp_path, spoil, trouble):
    path = write_pickle(tmp_path / "humor.pkl", spoil(humor()))
    with pytest.raises(CorruptFileError, match=rf"`.*humor\.pkl` should .*{trouble}"):
        URFunny(root=path).load()


@pytest.mark.parametrize(
    ("name", "spoil", "trouble"),
    [
        (
            "language_sdk",
            lambda c: c | {0: {}},
            "with 'punchline_embedding_indexes'; found nothing",
        ),
        (
            "language_sdk",
            lambda c: c | {0: {"punchline_embedding_indexes": [31]}},
            r"numbers of words in \[0, 31\), .*; found 31 in 0",
        ),
        ("covarep_features_sdk", lambda c: {k: v for k, v in c.items() if k != 5}, "with 5 or '5'"),
        (
            "openface_features_sdk",
            lambda c: c | {0: {"punchline_features": np.zeros((3, 6))}},
            "features of one size; found 6, 7",
        ),
        ("humor_label_sdk", lambda c: {1: 0}, "with 0 or '0'; found 1"),
        ("data_folds", lambda c: {"train": [0]}, "with 'valid' or 'dev'; found 'train'"),
    ],
)
def test_pickles_that_do_not_fit_together_are_named(features, name, spoil, trouble):
    path = features / f"{name}.pkl"
    write_pickle(path, spoil(pickle.loads(path.read_bytes())))
    with pytest.raises(CorruptFileError, match=rf"`.*{name}\.pkl` should .*{trouble}"):
        URFunny(root=features).load()


def test_a_program_is_refused(tmp_path):
    path = tmp_path / "humor.pkl"
    path.write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    with pytest.raises(UnsafePickleError, match=r"found the name posix\.system. Nothing of it was"):
        URFunny(root=path).load()


def test_nothing_at_all_says_how_to_get_it(tmp_path):
    message = r"`root` should hold humor\.pkl, or data_folds\.pkl, .*; found neither in .* Get ver"
    with pytest.raises(FileNotFoundError, match=message):
        URFunny(root=tmp_path).load()


def test_options_out_of_range_are_refused():
    with pytest.raises(ValueError, match="`max_length` should be at least 1; found 0"):
        URFunny(max_length=0)
