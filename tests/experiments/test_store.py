"""What is kept is read again, and what was damaged is noticed, named and set aside."""

import json
import re
from dataclasses import replace

import pytest

from counterpoise.experiments.store import Result, Store, content_key, default_runs, digest_of

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
    return digest_of(folder / "best.ckpt")


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


def test_the_folder_is_that_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("COUNTERPOISE_RUNS", str(tmp_path / "mine"))
    assert Store().path == tmp_path / "mine"
    monkeypatch.delenv("COUNTERPOISE_RUNS")
    assert str(default_runs()) == "counterpoise-runs"
