"""What is kept is read again, and what was damaged is noticed, named and set aside."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from counterpoise.data import Classification
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.fingerprints import file_digest
from counterpoise.experiments.store import Result, Store, content_key, default_runs
from counterpoise.training.predictions import Predictions

IDENTITY = {"recipe": {"seed": 3}, "data": "f" * 64}
KEY = content_key(IDENTITY)


def result(**changes):
    given = Result(KEY, IDENTITY, "done", {"test": {"accuracy": 0.5}}, None, None, [], "c" * 64)
    return replace(given, **changes)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def leave_run(store, content=b"weights"):
    """Leave what training would; return the digest of the best checkpoint."""
    folder = store.running / KEY / "checkpoints"
    folder.mkdir(parents=True)
    (store.running / KEY / "tensorboard").mkdir()
    for name in ("best.ckpt", "last.ckpt"):
        (folder / name).write_bytes(content)
    return file_digest(folder / "best.ckpt")


def test_a_result_is_read_as_it_was_written(store):
    assert store.read(KEY) is None
    store.write(result())
    assert store.read(KEY) == result()
    assert store.keys() == {KEY}
    store.forget(KEY)
    assert store.read(KEY) is None


def test_numbers_that_are_not_finite_are_none(store):
    store.write(result(record={"loss": [float("nan"), float("inf"), 0.5]}))
    assert store.read(KEY).record == {"loss": [None, None, 0.5]}


def test_a_result_that_became_a_folder_is_set_aside_over_what_was_before(store):
    path = store.results / f"{KEY}.json"
    for make in (path.mkdir, path.touch, path.mkdir):
        make()
        with pytest.warns(UserWarning, match="It was set aside as "):
            assert store.read(KEY) is None
        assert not path.exists()
    assert (store.damaged / path.name).is_dir()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda text: text[: len(text) // 2], "it cannot be read (JSONDecodeError)"),
        (lambda text: b"", "it cannot be read (JSONDecodeError)"),
        (lambda text: b"\xff" + text[1:], "it cannot be read (UnicodeDecodeError)"),
        (lambda text: b"[1, 2]", "it cannot be read (TypeError)"),
        (lambda text: b'{"key": 3}', "it cannot be read (KeyError)"),
        (lambda text: text.replace(b"0.5", b"0.6"), "its digest is another"),
    ],
)
def test_a_damaged_result_is_named_and_set_aside(store, damage, problem):
    store.write(result())
    path = store.results / f"{KEY}.json"
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    place = store.damaged / path.name
    message = f"{path} is damaged: {problem}. It was set aside as {place} and is made again."
    with pytest.warns(UserWarning, match=f"^{re.escape(message)}$"):
        assert store.read(KEY) is None
    assert place.read_bytes() == damaged
    assert not path.exists()
    store.write(result())
    assert store.read(KEY) == result()


def test_the_result_of_another_cell_is_none_of_this(store):
    store.write(result())
    other = "0" * 64
    (store.results / f"{KEY}.json").rename(store.results / f"{other}.json")
    with pytest.warns(UserWarning, match=r"is damaged: its digest is another"):
        assert store.read(other) is None


def test_every_flipped_bit_of_a_result_shows(store):
    store.write(result())
    path = store.results / f"{KEY}.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 17):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        with pytest.warns(UserWarning, match="is damaged"):
            assert store.read(KEY) is None
    path.write_text(json.dumps(json.loads(whole)))  # spaces and order are no damage
    assert store.read(KEY) == result()


@pytest.mark.parametrize("keep", ["no", "until measured", "always"])
def test_a_model_is_kept_for_as_long_as_it_was_asked_for(store, keep):
    store.write(result(model=leave_run(store)), keep=keep)
    assert not (store.running / KEY).exists()
    assert store.has_model(KEY) == (keep != "no")
    kept = {path.name for path in store.models.rglob("*.ckpt")}
    assert kept == (set() if keep == "no" else {"best.ckpt"})
    assert not list(store.models.rglob("tensorboard"))
    store.release(KEY)
    assert store.has_model(KEY) == (keep == "always")


def test_a_model_that_another_command_keeps_is_not_released(store):
    store.write(result(model=leave_run(store)), keep="until measured")
    store.hold(KEY)
    store.release(KEY)
    assert store.has_model(KEY)


@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(b"weighta"), lambda p: p.unlink()])
def test_a_damaged_model_is_set_aside(store, damage):
    store.write(result(model=leave_run(store)), keep="always")
    damage(store.models / KEY / "checkpoints" / "best.ckpt")
    with pytest.warns(UserWarning, match="its checkpoint is not the one that training wrote"):
        assert not store.has_model(KEY)
    assert (store.damaged / KEY).is_dir()
    assert not store.has_model(KEY)


def leave_predictions(store):
    """Leave what testing would; return what the record says of it."""
    (store.running / KEY).mkdir(parents=True)
    gathered = Predictions(Classification(3))
    gathered.update(torch.eye(3), torch.tensor([0, 2, 2]))
    return gathered.write(store.running / KEY / "predictions.npz")


def test_predictions_stay_with_the_result(store):
    made = result(record={"predictions": leave_predictions(store)})
    store.write(made)
    kept = store.predictions(store.read(KEY))
    assert kept["prediction"].tolist() == [0, 1, 2]
    assert kept["value"].tolist() == [True, False, True]
    assert store.predictions(result(record=None)) is None
    store.forget(KEY)
    assert not any(store.predicted.iterdir())


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-7]), "none that can be read (ValueError: "),
        (lambda p: np.savez(p, prediction=np.arange(3), value=np.ones(3)), "found others."),
    ],
)
def test_damaged_predictions_are_named_and_the_run_is_made_again(store, damage, found):
    made = result(record={"predictions": leave_predictions(store)})
    store.write(made)
    (path,) = store.predicted.iterdir()
    damage(path)
    message = f"`{path}` should hold the predictions that the run made; found"
    with pytest.raises(CorruptFileError, match=re.escape(message)) as caught:
        store.predictions(made)
    assert found in str(caught.value)
    assert store.read(KEY) is None
    store.write(made)
    assert store.read(KEY) is None  # as long as they are gone


def test_the_folder_is_that_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("COUNTERPOISE_RUNS", str(tmp_path / "mine"))
    assert Store().path == tmp_path / "mine"
    monkeypatch.delenv("COUNTERPOISE_RUNS")
    assert str(default_runs()) == "counterpoise-runs"
