"""CMU-MOSEI and CMU-MOSI from the three forms of their files, for three tasks."""

import pickle

import numpy as np
import pytest
import torch

from counterpoise.data import CMUMOSEI, CMUMOSI, Regression
from counterpoise.data.cmu_mosei.labels import target_of
from counterpoise.data.files.cache import CorruptFileError
from support.affective import SENTIMENT, SIZES, WORDS, make_mels, mosei, write_pickle

MISSING = "ignore:Of .*, 8 videos have words, sound and a label"


def expected(task, binarisation="non-negative"):
    values = np.resize(SENTIMENT, 21)
    if task == "regression":
        return values.astype(np.float32)
    if task == "seven":
        return np.clip(np.round(values), -3, 3).astype(int) + 3
    if binarisation == "without-zero":
        return (values[values != 0] > 0).astype(int)
    return ((values >= 0) if binarisation == "non-negative" else (values > 0)).astype(int)


@pytest.mark.parametrize("form", ["aligned", "mmsa"])
@pytest.mark.parametrize("binarisation", ["non-negative", "without-zero", "positive"])
def test_both_single_files_give_the_binary_task_by_each_convention(tmp_path, form, binarisation):
    path = write_pickle(tmp_path / "aligned_50.pkl", mosei(form=form))
    splits = CMUMOSEI(root=path, binarisation=binarisation).load()
    assert splits.name == f"cmu-mosei-{binarisation}"
    assert splits.num_classes == 2
    assert splits.modalities == ("text", "audio", "vision")
    content = mosei(form=form)
    kept = np.flatnonzero(np.resize(SENTIMENT, 21)) if binarisation == "without-zero" else range(21)
    for data, key in ((splits.train, "train"), (splits.validation, "valid"), (splits.test, "test")):
        assert data.target.tolist() == expected("binary", binarisation).tolist()
        for name in SIZES:
            values = np.where(np.isneginf(content[key][name]), 0, content[key][name])[kept]
            assert np.array_equal(data.inputs[name].numpy(), values.astype(np.float32))


def test_regression_and_seven_classes_have_their_targets(tmp_path):
    path = write_pickle(tmp_path / "mosei_senti_data.pkl", mosei())
    parts = CMUMOSEI(root=path, task="regression").parts()
    assert parts["train"].target.dtype == torch.float32
    assert np.array_equal(parts["train"].target[:, 0].numpy(), expected("regression"))
    assert CMUMOSEI(root=path, task="regression").load().task == Regression()
    splits = CMUMOSEI(root=tmp_path, task="seven").load()
    assert splits.num_classes == 7
    assert splits.name == "cmu-mosei-seven"
    assert splits.test.target.tolist() == expected("seven").tolist()


def test_binary_targets_of_each_convention():
    sentiment = torch.tensor([-3.0, -0.1, 0.0, 0.1, 3.0])
    for binarisation, target in (
        ("non-negative", [0, 0, 1, 1, 1]),
        ("without-zero", [0, 0, 1, 1]),
        ("positive", [0, 0, 0, 1, 1]),
    ):
        kept, found = target_of(sentiment, "binary", binarisation)
        assert found.tolist() == target
        assert kept.sum() == len(target)


def test_modalities_can_be_chosen(tmp_path):
    path = write_pickle(tmp_path / "mosei_senti_data.pkl", mosei())
    assert CMUMOSEI(root=path, modalities=("text", "audio")).load().modalities == ("text", "audio")
    with pytest.raises(ValueError, match="`modalities` should be one of 'text', 'audio', 'vision'"):
        CMUMOSEI(root=path, modalities=("image",)).load()


def test_cmu_mosi_is_read_alike(tmp_path):
    write_pickle(tmp_path / "mosi_data.pkl", mosei())
    splits = CMUMOSI(root=tmp_path).load()
    assert splits.name == "cmu-mosi-non-negative"
    assert splits.source.startswith("CMU-MOSI ")


def test_ids_that_come_twice_are_warned_of(tmp_path):
    content = mosei()
    content["test"]["id"][4] = content["test"]["id"][5]
    path = write_pickle(tmp_path / "mosei_senti_data.pkl", content)
    with pytest.warns(UserWarning, match=r"mosei_senti_data.pkl has 1 ids twice in test; all rows"):
        CMUMOSEI(root=path).load()


@pytest.mark.filterwarnings(MISSING)
def test_the_papers_files_are_words_and_mels_of_one_length(tmp_path):
    folder = make_mels(tmp_path)
    splits = CMUMOSEI(root=folder, vectors=folder / "glove.txt", length=7).load()
    assert splits.sample_shapes == {"text": (7, 3), "audio": (7, 17)}
    vectors = {word: [place, 2 * place, -place] for place, word in enumerate(WORDS[:-1], 1)}
    vectors[WORDS[-1]] = np.mean([*vectors.values()], axis=0)
    for data, key in ((splits.train, "train"), (splits.validation, "valid"), (splits.test, "test")):
        sentences, mels, sentiment = (
            pickle.loads((folder / f"{key}_{kind}.p").read_bytes())
            for kind in ("sentences", "mels", "sentiment")
        )
        assert len(data) == len(mels) == 8
        for index, video in enumerate(mels):
            text = np.array([vectors[word] for word in sentences[video]][:7], np.float32)
            found = data[index]
            assert np.allclose(found["text"][: len(text)].numpy(), text)
            assert not found["text"][len(text) :].any()
            sound = mels[video][:7].astype(np.float32)
            assert np.array_equal(found["audio"][: len(sound)].numpy(), sound)
            assert not found["audio"][len(sound) :].any()
            assert int(found["target"]) == (sentiment[video] >= 0)


def test_videos_that_a_file_lacks_are_warned_of(tmp_path):
    folder = make_mels(tmp_path)
    with pytest.warns(UserWarning, match="Of (train|validation|test), 8 videos have words, sound"):
        CMUMOSEI(root=folder, vectors=folder / "glove.txt").load()


def test_the_papers_files_without_vectors_say_what_to_pass(tmp_path):
    with pytest.raises(ValueError, match="`vectors` should be a file of word vectors, since"):
        CMUMOSEI(root=make_mels(tmp_path)).load()


@pytest.mark.filterwarnings(MISSING)
@pytest.mark.parametrize(
    ("name", "content", "trouble"),
    [
        (
            "glove.txt",
            "good 1 2 x\n",
            "should have finite numbers after each word; found .* 'good'",
        ),
        ("glove.txt", "good 1 2\nbad 1 2 3\n", "vectors of one size for the words .*; found 2, 3"),
        ("glove.txt", "other 1 2\n", "found none of the words"),
        ("valid_mels.p", [], "should hold a dictionary of videos; found list"),
        (
            "test_mels.p",
            {"v": np.zeros((2, 3))},
            "videos that the mels and labels of test have too",
        ),
        (
            "train_sentiment.p",
            {f"video{k}[{k % 3}]": 4.0 for k in range(9)},
            r"in \[-3, 3\] for tr",
        ),
        (
            "train_sentiment.p",
            {f"video{k}[{k % 3}]": "x" for k in range(9)},
            "numbers as labels of",
        ),
        (
            "train_mels.p",
            {f"video{k}[{k % 3}]": np.zeros((2, 3 + k)) for k in range(9)},
            "should hold steps of one size; found 3, 4",
        ),
    ],
)
def test_files_of_the_papers_form_that_hold_something_else_are_named(
    tmp_path, name, content, trouble
):
    folder = make_mels(tmp_path)
    if isinstance(content, str):
        (folder / name).write_text(content)
    else:
        write_pickle(folder / name, content)
    with pytest.raises(CorruptFileError, match=rf"`.*` should .*{trouble.removeprefix('should ')}"):
        CMUMOSEI(root=folder, vectors=folder / "glove.txt").load()


def change(content, part, **values):
    content[part] |= values
    return content


@pytest.mark.parametrize(
    ("spoil", "trouble"),
    [
        (lambda c: {"train": {}}, "'regression_labels' or 'labels'; found nothing"),
        (
            lambda c: change(c, "train", labels=np.full((21, 1, 1), 3.5)),
            r"in \[-3, 3\] .* found 3.5",
        ),
        (
            lambda c: change(c, "valid", labels=np.full((21, 1, 1), np.nan)),
            "finite numbers as labels",
        ),
        (
            lambda c: change(c, "test", audio=np.full((21, 2, 2), np.inf)),
            "finite numbers as audio of",
        ),
        (
            lambda c: change(c, "test", text=np.zeros((20, 2, 2))),
            r"shape \(21, any, any\) as text of",
        ),
        (
            lambda c: {k: {"labels": v["labels"], "text": v["text"]} for k, v in c.items()},
            "two of text, audio and vision for train; found text",
        ),
    ],
)
def test_a_single_file_that_holds_something_else_is_named(tmp_path, spoil, trouble):
    path = write_pickle(tmp_path / "mosei_senti_data.pkl", spoil(mosei()))
    with pytest.raises(CorruptFileError, match=rf"`.*mosei_senti_data\.pkl` should .*{trouble}"):
        CMUMOSEI(root=path).load()


def test_nothing_at_all_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"hold train_sentences\.p and .*; found none in"):
        CMUMOSEI(root=tmp_path).load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "ranking"}, "`task` should be one of 'binary', 'regression', 'seven'"),
        ({"binarisation": "none"}, "`binarisation` should be one of 'non-negative'"),
        ({"length": 0}, "`length` should be at least 1; found 0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        CMUMOSEI(**options)
