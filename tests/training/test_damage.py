"""Damaged files in a run's folder are recognised, named, and never trained from."""

import errno
import json
import os
import shutil
import stat
import warnings
from pathlib import Path

import pytest
import torch

from counterpoise.core.files import plain_cell
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.folders import DiskFullError
from counterpoise.training import Cosine, train
from counterpoise.training.folder import RunFolder
from counterpoise.training.record import read_sealed, sealed, write_csv, write_json
from counterpoise.training.sealing import DirectCheckpoints, damage, seal
from training import runs
from training.runs import recipe, same_bits


class Killed(BaseException):
    """Stands for a kill."""


SHORT = {"max_epochs": 3, "log_every_n_steps": 2}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    return folder, train(recipe(trainer=SHORT), folder, progress=False)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run that was killed in its third epoch: last.ckpt and previous.ckpt are there."""
    folder = tmp_path_factory.mktemp("killed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        forward = runs.Net.forward

        def killed_in_the_third_epoch(self, **inputs):
            if RunFolder(folder).previous.exists():
                raise Killed
            return forward(self, **inputs)

        patch.setattr(runs.Net, "forward", killed_in_the_third_epoch)
        with pytest.raises(Killed):
            train(recipe(trainer=SHORT), folder, progress=False)
    assert RunFolder(folder).previous.exists()
    return folder


def flip(path, where):
    """Flip one bit of a byte, at a share of the file's length."""
    content = bytearray(path.read_bytes())
    content[int(where * (len(content) - 1))] ^= 1
    path.write_bytes(content)


def swapped(path):
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[half:] + content[:half])


def resealed(path):
    """A whole archive of something else, without a digest."""
    torch.save({"state_dict": {}}, path)


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "one byte": lambda path: path.write_bytes(b"P"),
    "cut in half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "cut by a byte": lambda path: os.truncate(path, path.stat().st_size - 1),
    "a byte more": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "a bit at the start": lambda path: flip(path, 0.0),
    "a bit in the middle": lambda path: flip(path, 0.5),
    "a bit in the digest": lambda path: flip(path, 1.0),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a text": lambda path: path.write_text("not a checkpoint\n" * 99),
    "halves swapped": swapped,
    "another archive": resealed,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("harm", DAMAGES.values(), ids=DAMAGES)
def test_every_damage_shows(killed, tmp_path, harm):
    path = tmp_path / "last.ckpt"
    shutil.copy(killed / "checkpoints" / "last.ckpt", path)
    assert damage(path) is None
    harm(path)
    assert damage(path) is not None


def test_every_flipped_bit_shows(tmp_path):
    path = tmp_path / "small.ckpt"
    torch.save(torch.zeros(1), path)
    seal(path)
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        content = bytearray(whole)
        content[position] ^= 1 << position % 8
        path.write_bytes(content)
        assert damage(path) is not None, position


def resumed(folder):
    with pytest.warns(RuntimeWarning) as caught:
        record = train(recipe(trainer=SHORT), folder, resume=True, progress=False)
    return record, [str(each.message) for each in caught if each.category is RuntimeWarning]


def same_run(record, straight):
    return record["test"] == straight["test"] and record["steps"] == straight["steps"]


def test_damaged_last_checkpoint_is_named_and_the_one_before_is_gone_on_from(
    killed, tmp_path, finished
):
    folder = shutil.copytree(killed, tmp_path / "run")
    flip(folder / "checkpoints" / "last.ckpt", 0.5)
    record, (message,) = resumed(folder)
    assert "last.ckpt` should be as it was written; found " in message
    assert message.endswith(
        "whose digest is not the one that was written with them. Trying the one before."
    )
    assert same_run(record, finished[1])


def test_run_starts_anew_where_no_checkpoint_is_whole(killed, tmp_path, finished):
    folder = shutil.copytree(killed, tmp_path / "run")
    for name in ("last.ckpt", "previous.ckpt"):
        os.truncate(folder / "checkpoints" / name, 1000)
    record, messages = resumed(folder)
    assert [each.rpartition(". ")[2] for each in messages] == [
        "Trying the one before.",
        "The run starts anew.",
    ]
    assert same_run(record, finished[1])


def test_damaged_best_weights_are_never_tested(killed, tmp_path, finished):
    folder = shutil.copytree(killed, tmp_path / "run")
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"")
    record, messages = resumed(folder)
    assert all("best.ckpt` should be as it was written; found 0 bytes" in m for m in messages)
    assert same_run(record, finished[1])


@pytest.mark.parametrize("text", ["", "{", '{"outcome": "done"}', "\xff"])
def test_damaged_record_is_named_and_the_run_is_tested_again(finished, tmp_path, text):
    folder = shutil.copytree(finished[0], tmp_path / "run")
    (folder / "record.json").write_text(text, encoding="latin-1")
    record, (message,) = resumed(folder)
    assert "record.json` should be a file as it was written; found one" in message
    assert record["test"] == finished[1]["test"]


def test_a_changed_figure_in_a_record_shows(finished, tmp_path):
    content = json.loads((finished[0] / "record.json").read_text())
    content["test"]["accuracy"] += 0.01
    write_json(tmp_path / "record.json", content)
    with pytest.raises(CorruptFileError, match="found one whose digest is not that of what it ho"):
        read_sealed(tmp_path / "record.json")
    write_json(tmp_path / "record.json", sealed(content))
    assert read_sealed(tmp_path / "record.json")["test"] == content["test"]


@pytest.mark.parametrize("text", ["", "[1", "- 1\n", "\xff\xfe"])
def test_damaged_recipe_is_one_clear_error(finished, tmp_path, text):
    folder = shutil.copytree(finished[0], tmp_path / "run")
    (folder / "config.yaml").write_text(text, encoding="latin-1")
    with pytest.raises(CorruptFileError, match=r"config\.yaml` should hold the recipe of the run"):
        train(recipe(trainer=SHORT), folder, resume=True, progress=False)


def test_two_runs_do_not_write_to_one_folder(killed, tmp_path):
    folder = shutil.copytree(killed, tmp_path / "run")
    message = "`output` should not be in use by another run; found one at work in "
    with RunFolder(folder).locked(), pytest.raises(ValueError, match=message):
        train(recipe(trainer=SHORT), folder, resume=True, progress=False)


def test_checkpoints_go_through_no_other_folder(tmp_path, monkeypatch):
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    nowhere.chmod(stat.S_IRUSR)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    train(recipe(trainer={"max_epochs": 1}), tmp_path / "run", progress=False)
    assert damage(tmp_path / "run" / "checkpoints" / "last.ckpt") is None


def test_a_full_disk_is_told_and_leaves_no_half_a_checkpoint(tmp_path, monkeypatch):
    write = Path.write_bytes

    def full(path, content):
        write(path, bytes(content)[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(DiskFullError, match="should have room for what a run writes; found at"):
            train(recipe(trainer={"max_epochs": 1}), tmp_path / "run", progress=False)
    train(recipe(trainer={"max_epochs": 1}), tmp_path / "run", progress=False)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    class Harmful:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "made"),))

    torch.save({"state_dict": Harmful()}, tmp_path / "last.ckpt")
    with pytest.raises(Exception, match="Weights only load failed"):
        DirectCheckpoints().load_checkpoint(tmp_path / "last.ckpt", weights_only=False)
    assert not (tmp_path / "made").exists()


def test_a_complete_run_can_be_made_longer_to_the_same_bits(finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "run")
    longer = recipe(trainer={**SHORT, "max_epochs": 4})
    record = train(longer, folder, resume=True, progress=False)
    straight = train(longer, tmp_path / "straight", progress=False)
    assert same_run(record, straight)
    ours, theirs = (
        torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for path in (folder, tmp_path / "straight")
    )
    assert same_bits(ours, theirs)
    assert train(longer, folder, resume=True, progress=False) == record


def test_a_run_cannot_be_made_longer_where_its_schedule_would_have_been_another(tmp_path):
    folder = tmp_path / "run"
    train(recipe(schedule=Cosine(), trainer={"max_epochs": 1}), folder, progress=False)
    message = r"`trainer\.max_epochs` should be as in the run to resume, 1, where the schedule .* C"
    with pytest.raises(ValueError, match=message):
        train(recipe(schedule=Cosine()), folder, resume=True, progress=False)


def test_a_run_cannot_be_made_shorter(finished):
    with pytest.raises(ValueError, match="`trainer` should be as in the run to resume"):
        train(recipe(trainer={**SHORT, "max_epochs": 2}), finished[0], resume=True, progress=False)


def test_a_mistake_in_the_network_does_not_block_the_next_start(tmp_path, monkeypatch):
    def wrong(self, **inputs):
        raise RuntimeError("shapes do not fit")

    with monkeypatch.context() as patch:
        patch.setattr(runs.Net, "forward", wrong)
        with pytest.raises(RuntimeError, match="shapes do not fit"):
            train(recipe(trainer=SHORT), tmp_path / "run", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(recipe(trainer={"max_epochs": 1}), tmp_path / "run", progress=False)


def test_cells_that_a_spreadsheet_would_compute_are_quoted(tmp_path):
    write_csv(tmp_path / "x.csv", [{"method": "=cmd()", "difference": -0.5}, {"method": "@SUM"}])
    assert (tmp_path / "x.csv").read_text() == "method,difference\n'=cmd(),-0.5\n'@SUM,\n"
    assert [plain_cell(text)[0] for text in ("=1", "+1", "-1", "@1", "\t1", "\r1")] == ["'"] * 6
