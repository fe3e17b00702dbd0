import json
import resource
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoise.data import AVMNIST
from counterpoise.data.avmnist.audio import load_speech, power_spectrogram
from counterpoise.data.avmnist.build import FILES, build, principal_components
from counterpoise.data.avmnist.options import PRESETS, RECORD, Options
from counterpoise.data.files.folders import DiskFullError
from support.originals import make_fsdd, make_mnist, write_wav

NUM_TRAIN, NUM_TEST, NUM_VALIDATION, SIZE = 61, 23, 11, 13
SMALL = Options(num_validation=NUM_VALIDATION, size=SIZE)
QUIET = replace(SMALL, noise_level=None)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """The folders that `build` takes; copy them before changing anything."""
    folder = tmp_path_factory.mktemp("originals")
    mnist = make_mnist(folder / "mnist", NUM_TRAIN, NUM_TEST)
    return {"mnist": mnist, "fsdd": make_fsdd(folder / "fsdd")}


@pytest.fixture(scope="module")
def built(originals, tmp_path_factory):
    """Map options to a folder built with them, once each."""
    folders = {}

    def built(options):
        if options not in folders:
            folders[options] = tmp_path_factory.mktemp("built") / "av-mnist"
            build(folders[options], **originals, options=options)
        return folders[options]

    return built


def arrays(folder):
    return {name: np.load(folder / name) for name in FILES}


def test_the_layout_is_the_fields(built):
    found = arrays(built(SMALL))
    assert {name: (array.shape, array.dtype.name) for name, array in found.items()} == {
        "image/train_data.npy": ((NUM_TRAIN, 784), "uint8"),
        "audio/train_data.npy": ((NUM_TRAIN, SIZE, SIZE), "uint8"),
        "train_labels.npy": ((NUM_TRAIN,), "uint8"),
        "image/test_data.npy": ((NUM_TEST, 784), "uint8"),
        "audio/test_data.npy": ((NUM_TEST, SIZE, SIZE), "uint8"),
        "test_labels.npy": ((NUM_TEST,), "uint8"),
    }
    assert found["train_labels.npy"].tolist() == [k % 10 for k in range(NUM_TRAIN)]
    names = {str(path.relative_to(built(SMALL))) for path in built(SMALL).rglob("*.*")}
    assert names == {*FILES, RECORD}


def test_images_are_reconstructed_without_the_mean(originals, built):
    from sklearn.decomposition import PCA

    from counterpoise.data.avmnist.sources import read_mnist

    parts, _ = read_mnist(originals["mnist"])
    pixels = {name: part.images.flatten(1).double().numpy() for name, part in parts.items()}
    reference = PCA(4, svd_solver="full").fit(pixels["train"])
    floats = arrays(built(replace(SMALL, dtype="float32")))
    bytes_ = arrays(built(SMALL))
    for part in ("train", "test"):
        expected = reference.transform(pixels[part]) @ reference.components_
        np.testing.assert_allclose(floats[f"image/{part}_data.npy"], expected, atol=1e-4)
        coded = 2.5 * (bytes_[f"image/{part}_data.npy"] - 128.0)
        assert np.abs(coded - expected).max() <= 1.25 + 1e-9
    share = json.loads((built(SMALL) / RECORD).read_text())["image_variance_kept"]
    assert share == pytest.approx(reference.explained_variance_ratio_.sum(), abs=1e-6)


def test_all_components_leave_the_image_but_for_its_mean():
    images = torch.randint(0, 256, (37, 11), dtype=torch.uint8)
    mean, components, share = principal_components(images, 11)
    centred = images.double() - mean
    torch.testing.assert_close(centred @ components @ components.T, centred)
    assert share == pytest.approx(1)


def test_without_noise_every_spectrogram_is_a_recording_of_its_digit_from_its_part(
    originals, built
):
    indices = {"train": [0, 1], "validation": [2], "test": [40, 41]}
    spoken = {}
    for path in originals["fsdd"].iterdir():
        digit, _, index = path.stem.split("_")
        part = next(part for part, known in indices.items() if int(index) in known)
        image = power_spectrogram(load_speech(path)[None], SIZE)[0].round().to(torch.uint8)
        spoken.setdefault(image.numpy().tobytes(), set()).add((part, int(digit)))
    found = arrays(built(QUIET))
    for file, parts in (("train", ["train"] * 50 + ["validation"] * 11), ("test", ["test"] * 23)):
        labels = found[f"{file}_labels.npy"]
        spectrograms = found[f"audio/{file}_data.npy"]
        for part, label, spectrogram in zip(parts, labels, spectrograms, strict=True):
            assert (part, label) in spoken[spectrogram.tobytes()]


def test_noise_hides_the_speech_the_more_the_louder_it_is(built):
    clean = arrays(built(QUIET))["audio/train_data.npy"].astype(float)
    likeness = [
        np.corrcoef(
            clean.ravel(), arrays(built(replace(SMALL, noise_level=level)))[FILES[1]].ravel()
        )[0, 1]
        for level in (-20.0, 0.0, 20.0)
    ]
    assert likeness[0] > 0.6
    assert likeness[0] > likeness[1] + 0.1 > likeness[2] + 0.2


def test_pairs_of_one_recording_have_noise_of_their_own(built):
    spectrograms = arrays(built(SMALL))["audio/train_data.npy"]
    assert len(np.unique(spectrograms.reshape(NUM_TRAIN, -1), axis=0)) == NUM_TRAIN


def test_the_seed_changes_speech_and_noise_but_not_images(built):
    first, other = arrays(built(SMALL)), arrays(built(replace(SMALL, seed=1)))
    for name in FILES:
        assert np.array_equal(first[name], other[name]) == (not name.startswith("audio"))


def test_noise_comes_from_a_folder_where_one_is_given(originals, tmp_path, built):
    folder = tmp_path / "noise"
    folder.mkdir()
    for k in range(3):  # one high tone, and an empty spectrum below it
        tone = 9000 * torch.sin(torch.arange(4000) * 3.0 + k)
        write_wav(folder / f"{k}.wav", tone)
    record = build(
        tmp_path / "out", **originals, noise=folder, options=replace(SMALL, noise_level=40.0)
    )
    loudest = np.load(tmp_path / "out" / "audio" / "train_data.npy").mean((0, 2)).argmax()
    assert loudest == round(3.0 / np.pi * SIZE) - 1
    assert record["originals"]["noise"] is not None
    assert json.loads((built(SMALL) / RECORD).read_text())["originals"]["noise"] is None
    assert "recorded noise 40 dB" in AVMNIST(root=tmp_path / "out").load().note


def test_float32_holds_what_bytes_round(built):
    exact, rounded = (arrays(built(o)) for o in (replace(SMALL, dtype="float32"), SMALL))
    for part in ("train", "test"):
        name = f"audio/{part}_data.npy"
        assert exact[name].dtype == np.float32
        assert np.array_equal(exact[name].round(), rounded[name])


# Of files and originals that the functions in support/originals.py make: any change of the
# arithmetic shows here, on any machine. If it is meant, raise FORMAT.
FINGERPRINTS = {
    SMALL: "ecdc34f157996aabe89a13ab661184fdc878b794a801ba9423daf47e1b3a1ced",
    replace(
        SMALL, noise_level=None, split="speaker", speaker="ben"
    ): "b977612380d5244403b87b32bdc572963f1c6ffb0ee6d241e70070f67c0c4623",
}


@pytest.mark.parametrize("options", FINGERPRINTS, ids=["noise", "speaker"])
def test_the_bytes_are_these(built, options):
    record = json.loads((built(options) / RECORD).read_text())
    assert record["fingerprint"] == FINGERPRINTS[options]


def test_the_bytes_are_the_same_in_another_process(originals, built, tmp_path):
    code = (
        "import sys, torch\n"
        "from counterpoise.data.avmnist.build import build\n"
        "from counterpoise.data.avmnist.options import Options\n"
        "torch.set_num_threads(2)\n"
        "torch.set_default_dtype(torch.bfloat16)\n"
        "torch.rand(7)\n"
        "output, mnist, fsdd, settings = sys.argv[1:]\n"
        "build(output, mnist=mnist, fsdd=fsdd, options=Options(**eval(settings)))\n"
        "assert torch.get_num_threads() == 2\n"
    )
    settings = repr({key: getattr(SMALL, key) for key in ("num_validation", "size")})
    output = tmp_path / "out"
    subprocess.run(
        [sys.executable, "-c", code, str(output), *map(str, originals.values()), settings],
        check=True,
    )
    for name in (*FILES, RECORD):
        assert (output / name).read_bytes() == (built(SMALL) / name).read_bytes()


def test_the_record_says_what_lies_there(built):
    record = json.loads((built(SMALL) / RECORD).read_text())
    assert record["options"] == {**vars(SMALL)}
    assert record["preset"] is None
    assert set(record["files"]) == set(FILES)
    assert record["num_recordings"] == {"train": 50, "validation": 11, "test": 23}
    AVMNIST(root=built(SMALL)).verify()


def test_an_interrupted_build_leaves_nothing(originals, tmp_path):
    calls = []

    def stop(what, done, total):
        calls.append((what, done, total))
        if done == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "out", **originals, options=SMALL, progress=stop)
    assert calls[-1] == ("Building AV-MNIST", 40, 84)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("early", [True, False])
def test_files_larger_than_they_may_be_are_one_error_and_nothing_stays(
    originals, tmp_path, monkeypatch, early
):
    import os

    if not early:  # without room taken beforehand it shows while writing
        monkeypatch.delattr(os, "posix_fallocate")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (NUM_TRAIN * 784 - 1, before[1]))
    try:
        with pytest.raises(DiskFullError, match=r"`output` should hold files as large as .* limit"):
            build(tmp_path / "out", **originals, options=SMALL)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_too_small_a_disk_is_found_before_anything_is_written(originals, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    message = r"`output` should have room for 0\.1 MB; found too little: 0\.0 MB are free at"
    with pytest.raises(DiskFullError, match=message):
        build(tmp_path / "out", **originals, options=SMALL)
    assert list(tmp_path.iterdir()) == []


def test_what_lies_at_the_output_is_kept(originals, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(ValueError, match="`output` should be a new or empty folder; found"):
        build(tmp_path / "out", **originals, options=SMALL)
    assert (tmp_path / "out" / "mine").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"components": 0}, "`components` should be at least 1; found 0"),
        ({"components": 785}, "`components` should be .* at most 784; found 785"),
        ({"noise_level": float("nan")}, "`noise_level` should be finite"),
        ({"split": "speakers"}, "`split` should be one of .*Did you mean 'speaker'"),
        ({"num_validation": 0}, "`num_validation` should be at least 1; found 0"),
        ({"size": 7}, "`size` should be at least 8; found 7"),
        ({"dtype": "uint16"}, "`dtype` should be one of .*Did you mean 'uint8'"),
        ({"split": "speaker", "validation_speaker": "yweweler"}, "another than `speaker`"),
        ({"speaker": "theo"}, "`split` is 'speaker'; found 'theo' and 'recordings'. Pass --split"),
    ],
)
def test_options_out_of_range_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        Options(**changes)


def test_presets_are_told_whatever_is_free():
    assert Options().preset == "published"
    assert replace(PRESETS["clean"], seed=5, dtype="float32", num_validation=7).preset == "clean"
    assert replace(PRESETS["clean"], components=5).preset is None
