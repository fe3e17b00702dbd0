import re
import shutil

import pytest
import torch

from counterpoise.data import Digits
from counterpoise.data.digits.digits_build import (
    ACCENTS,
    IMAGES,
    VOICES,
    WORDS,
    _rows,
    _utterances,
    load_images,
)
from counterpoise.data.files.cache import read
from counterpoise.data.files.streams import stream

pytest.importorskip("espeakng_loader", reason="needs the extra `digits`")
pytest.importorskip("sklearn", reason="needs the extra `digits`")

SMALLEST = {"utterances_per_image": 1}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    source = Digits(**SMALLEST, root=tmp_path_factory.mktemp("digits"))
    return source, source.load()


@pytest.fixture
def kept(built, tmp_path):
    """A source with a cache of its own that holds the built file."""
    source = Digits(**SMALLEST, root=tmp_path)
    shutil.copy(built[0].path, source.path)
    return source


@pytest.fixture
def no_build(monkeypatch):
    def refuse(*_):
        raise AssertionError("built again")

    monkeypatch.setattr(Digits, "_build_in_fresh_process", refuse)


def test_shapes_sizes_and_balance(built):
    _, splits = built
    assert splits.sample_shapes == {"audio": (1, 32, 32), "image": (1, 28, 28)}
    assert [len(p) for p in (splits.train, splits.validation, splits.test)] == [1000, 290, 507]
    assert splits.train.target.bincount().tolist() == [100] * 10
    assert splits.validation.target.bincount().tolist() == [29] * 10
    assert splits.test.target.bincount().min() >= 40
    for part in (splits.train, splits.validation, splits.test):
        assert part.target.dtype == torch.int64
        for tensor in part.inputs.values():
            assert tensor.dtype == torch.float32
            assert torch.isfinite(tensor).all()


def test_the_training_set_is_standardised_and_the_others_by_its_numbers(built):
    _, splits = built
    for name in splits.modalities:
        train, test = splits.train.inputs[name].double(), splits.test.inputs[name].double()
        assert abs(float(train.mean())) < 1e-6
        assert float(train.std()) == pytest.approx(1, abs=1e-6)
        assert float(test.std()) == pytest.approx(1, abs=0.1)
        assert float(test.std()) != pytest.approx(1, abs=1e-6)


def test_a_second_build_gives_the_same_bytes_whatever_this_process_did(built, tmp_path):
    torch.manual_seed(7)
    torch.set_default_dtype(torch.float64)
    try:
        again = Digits(**SMALLEST, root=tmp_path)
        fingerprint = again.load().fingerprint
    finally:
        torch.set_default_dtype(torch.float32)
    assert fingerprint == built[1].fingerprint
    assert again.path.read_bytes() == built[0].path.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [again.path.name]


@pytest.mark.usefixtures("no_build")
def test_what_is_kept_is_read_and_not_built_again(kept, built):
    assert kept.load().fingerprint == built[1].fingerprint
    record = read(kept.path)[1]
    assert record["options"]["utterances_per_image"] == 1
    assert set(record["versions"]) == {"espeakng-loader", "scikit-learn", "torch"}


def test_each_modality_tells_the_digit_and_neither_tells_all(built):
    _, splits = built

    def accuracy(name):
        def features(part):
            return torch.cat([part.inputs[name].flatten(1), torch.ones(len(part), 1)], 1).double()

        x, onehot = features(splits.train), torch.nn.functional.one_hot(splits.train.target)
        ridge = 300 * torch.eye(x.shape[1], dtype=torch.float64)
        weights = torch.linalg.solve(x.T @ x + ridge, x.T @ onehot.double())
        found = (features(splits.test) @ weights).argmax(dim=1) == splits.test.target
        return float(found.double().mean())

    assert 0.7 < accuracy("image") < 0.95
    assert 0.2 < accuracy("audio") < 0.6  # a linear reader of few new voices; chance is 0.1


@pytest.mark.parametrize("seed", [0, 1])
def test_images_are_in_one_split_each_and_all_used(seed):
    _, labels = load_images()
    rows = {split: _rows(labels, split, seed).tolist() for split in IMAGES}
    everything = [row for split in rows.values() for row in split]
    assert sorted(everything) == list(range(1797))
    assert rows["train"] != _rows(labels, "train", seed + 1).tolist()


def test_voices_are_in_one_split_each_and_say_the_label():
    everyone = [voice for split in VOICES.values() for voice in split]
    assert len(set(everyone)) == len(everyone) == 52
    labels = torch.arange(10).repeat(200)
    for split, voices in VOICES.items():
        utterances = list(_utterances(labels, split, seed=3))
        assert [WORDS.index(u.text) for u in utterances] == labels.tolist()
        assert {u.voice for u in utterances} == set(voices)
        assert {u.accent for u in utterances} == set(ACCENTS)
        assert len({(u.rate, u.pitch, u.pitch_range) for u in utterances}) > 1900


def test_streams_of_different_purposes_and_seeds_differ_and_repeat():
    purposes = [(0, "a"), (0, "b"), (1, "a"), (0, "a", "b"), (0, "ab"), (-1, "a"), (2**70, "a")]
    drawn = [tuple(torch.rand(3, generator=stream(s, *p)).tolist()) for s, *p in purposes]
    assert len(set(drawn)) == len(purposes)
    assert tuple(torch.rand(3, generator=stream(0, "b")).tolist()) == drawn[1]


def test_a_damaged_file_is_built_again_with_a_warning(kept, built, monkeypatch):
    content = bytearray(kept.path.read_bytes())
    content[-1000] ^= 4
    kept.path.write_bytes(content)
    monkeypatch.setattr(
        Digits, "_build_in_fresh_process", lambda _, path: shutil.copy(built[0].path, path)
    )
    with pytest.warns(RuntimeWarning, match="should have content with sha256 .* Building it again"):
        assert kept.load().fingerprint == built[1].fingerprint
    assert kept.path.read_bytes() == built[0].path.read_bytes()


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_an_interrupted_build_leaves_nothing(monkeypatch, tmp_path, failure):
    def half(_, path):
        path.write_bytes(b"half")
        raise failure

    monkeypatch.setattr(Digits, "_build_in_fresh_process", half)
    with pytest.raises(failure):
        Digits(root=tmp_path / "deep" / "cache").load()
    assert list((tmp_path / "deep" / "cache").iterdir()) == []


def test_a_build_that_fails_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr("counterpoise.data.digits.digits._BUILD", "raise OSError('no space left')")
    message = "its process ended with 1: OSError: no space left"
    with pytest.raises(RuntimeError, match=re.escape(message)):
        Digits(root=tmp_path).load()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_named_with_its_command(monkeypatch, tmp_path):
    monkeypatch.setattr("counterpoise.data.files.extras.find_spec", lambda _: None)
    with pytest.raises(ImportError, match=re.escape('pip install "counterpoise[digits]"')):
        Digits(root=tmp_path).load()


@pytest.mark.usefixtures("no_build")
def test_what_is_kept_needs_no_extra(kept, monkeypatch, built):
    monkeypatch.setattr("counterpoise.data.files.extras.find_spec", lambda _: None)
    assert kept.load().fingerprint == built[1].fingerprint


def test_the_file_is_named_by_options_and_format_and_not_by_place(monkeypatch, tmp_path):
    plain = Digits(root=tmp_path)
    others = [
        Digits(root=tmp_path, **change)
        for change in (
            {"seed": 1},
            {"speech_to_noise": (-5.0, 4.0)},
            {"image_noise": 0.3},
            {"utterances_per_image": 4},
        )
    ]
    assert len({source.path for source in [plain, *others]}) == 5
    assert Digits(root=tmp_path / "other").path.name == plain.path.name
    assert Digits(speech_to_noise=[-5, 5], root=tmp_path) == plain
    before = plain.path
    monkeypatch.setattr("counterpoise.data.digits.digits.FORMAT", 10**6)
    assert plain.path != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speech_to_noise": (5.0, -5.0)}, "`speech_to_noise` should be a lowest and a highest"),
        ({"speech_to_noise": (1.0,)}, "decibels; found (1.0,). Give two numbers in order."),
        ({"speech_to_noise": (float("nan"), 1.0)}, "`speech_to_noise` should be a lowest and"),
        ({"image_noise": -0.1}, "`image_noise` should be finite, at least 0; found -0.1."),
        ({"utterances_per_image": 0}, "`utterances_per_image` should be at least 1; found 0."),
    ],
)
def test_options_that_make_no_data_set_are_refused(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Digits(**changes)
