import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from counterpoise.cli import build_data as avmnist_command
from counterpoise.cli.main import main
from counterpoise.data import AVMNIST
from counterpoise.data.avmnist import build as avmnist_build
from counterpoise.data.avmnist import sources as avmnist_sources
from counterpoise.data.avmnist.options import RECORD
from support.originals import make_fsdd, make_mnist

COMMAND = ("data", "build", "av-mnist")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("originals")
    return make_mnist(folder / "mnist"), make_fsdd(folder / "fsdd")


@pytest.fixture
def given(originals):
    mnist, fsdd = originals
    return [*COMMAND, "--mnist", str(mnist), "--fsdd", str(fsdd), "--size=13", "--no_progress"]


def test_the_folder_holds_what_was_asked_for(given, tmp_path, capsys):
    output = tmp_path / "out"
    options = ["--preset=clean", "--speaker=ben", "--components=5", "--noise-level=3.5"]
    options += ["--num-validation=7", "--dtype=float32", "--seed=5", "--validation-speaker=ada"]
    assert main([*given, *options, "--output", str(output)]) == 0
    record = json.loads((output / RECORD).read_text())
    assert record["options"] == {
        "components": 5,
        "noise_level": 3.5,
        "split": "speaker",
        "speaker": "ben",
        "validation_speaker": "ada",
        "num_validation": 7,
        "size": 13,
        "dtype": "float32",
        "seed": 5,
    }
    out, error = capsys.readouterr()
    assert out == f"AV-MNIST (custom), fingerprint {record['fingerprint'][:16]}: {output}\n"
    assert error == ""
    assert len(AVMNIST(root=output).load().validation) == 7


def test_a_preset_can_be_made_quiet(given, tmp_path):
    assert main([*given, "--noise-level=none", "--output", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / RECORD).read_text())["options"]["noise_level"] is None


def test_a_bar_shows_on_the_standard_error(given, tmp_path, capsys):
    arguments = [word for word in given if word != "--no_progress"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    assert "Building AV-MNIST" in capsys.readouterr().err


def test_without_folders_originals_are_downloaded_and_all_lies_in_the_cache(
    originals, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("COUNTERPOISE_CACHE", str(tmp_path))
    asked = []

    def download(name, folder):
        def downloaded(place, progress):
            asked.append((name, Path(place)))
            return folder

        return downloaded

    monkeypatch.setattr(avmnist_command, "download_mnist", download("mnist", originals[0]))
    monkeypatch.setattr(avmnist_command, "download_fsdd", download("fsdd", originals[1]))
    assert main([*COMMAND, "--no_progress"]) == 0
    assert asked == [("mnist", tmp_path / "mnist"), ("fsdd", tmp_path / "fsdd")]
    assert AVMNIST().load().sample_shapes["audio"] == (1, 112, 112)
    assert "AV-MNIST (published)" in capsys.readouterr().out
    # There already: nothing is downloaded again.
    assert main([*COMMAND, "--no_progress"]) == 2
    assert len(asked) == 2
    assert "should be a new or empty folder" in capsys.readouterr().err


def test_no_network_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COUNTERPOISE_CACHE", str(tmp_path))
    monkeypatch.setattr(avmnist_sources, "MNIST_PLACES", ["http://127.0.0.1:9/"])
    assert main([*COMMAND, "--no_progress"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("counterpoise: error: `train-images-idx3-ubyte.gz` should be had from")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--preset=publish", "`preset` should be one of .* Did you mean 'published'?"),
        ("--noise-level=non", "`noise_level` should be one of .* Did you mean 'none'?"),
        ("--split=speakr", "`split` should be one of .* Did you mean 'speaker'?"),
        (
            "--speaker=theo",
            "`speaker` should .* 'speaker'; found 'theo' and 'recordings'. Pass --spl",
        ),
        (
            "--speaker=yweweler",
            "found 'yweweler' and 'recordings'. Pass --split speaker .* or leave",
        ),
        ("--components=0", "`components` should be at least 1; found 0."),
        ("--components=many", "components"),
        ("--mnist=/nowhere", "`mnist` should be a folder that holds train-images.* none in /now"),
        ("--fsdd=/nowhere", "`fsdd` should be a folder of recordings .* none in /nowhere"),
        ("--noise=/nowhere", "`noise` should be a folder of at least 3 WAV files.* found 0 in"),
        ("--speed=1", "speed"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(given, tmp_path, capsys, option, message):
    assert main([*given, "--output", str(tmp_path / "out"), option]) == 2
    error = capsys.readouterr().err
    assert re.search(message, error)
    assert error.startswith("counterpoise: error: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--output", "cache"])
def test_a_file_where_a_folder_should_be_is_one_line(given, tmp_path, capsys, monkeypatch, option):
    (tmp_path / "file").touch()
    if option == "cache":
        monkeypatch.setenv("COUNTERPOISE_CACHE", str(tmp_path / "file"))
        arguments = [*COMMAND, "--no_progress", f"--output={tmp_path / 'out'}"]
    else:
        arguments = [*given, f"--output={tmp_path / 'file' / 'x'}"]
    assert main(arguments) == 2
    name = "output" if option == "--output" else tmp_path / "file" / "mnist"
    assert capsys.readouterr().err == (
        f"counterpoise: error: `{name}` should be a folder in folders; found the file "
        f"{tmp_path / 'file'}. Choose another place, or remove the file.\n"
    )
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.fixture
def ending(given, tmp_path, monkeypatch):
    """Build, and send a signal when half of it is written; again while that is removed."""
    write, remove = avmnist_build._write_images, shutil.rmtree

    def run(number):
        def written(*arguments):
            share = write(*arguments)
            os.kill(os.getpid(), number)
            return share

        def removed(*arguments, **options):
            os.kill(os.getpid(), number)
            remove(*arguments, **options)

        monkeypatch.setattr(avmnist_build, "_write_images", written)
        monkeypatch.setattr(shutil, "rmtree", removed)
        return main([*given, "--output", str(tmp_path / "out")])

    return run


@pytest.fixture
def hang_up():
    """Let the closing of a terminal mean what it means, even if the tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hang_up")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_request_to_end_leaves_nothing_even_if_it_comes_twice(ending, tmp_path, number):
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    with pytest.raises(SystemExit) as caught:
        ending(number)
    assert caught.value.code == 128 + number
    assert list(tmp_path.iterdir()) == []
    assert {each: signal.getsignal(each) for each in before} == before


def test_a_closed_terminal_that_is_ignored_stays_so(ending, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        assert ending(signal.SIGHUP) == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_data_set_that_cannot_be_built_is_named_with_the_nearest(capsys):
    assert main(["data", "build", "av-mnis", "--seed=1"]) == 2
    error = capsys.readouterr().err
    assert "found 'data build av-mnis'. Did you mean 'data build av-mnist'?" in error
