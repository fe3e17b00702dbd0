"""Runs as cells: what their key is made of, and computing them in this process."""

import json
import re

import pytest
import torch

import counterpoise as cp
from counterpoise.data import Synthetic
from counterpoise.data.files.fingerprints import file_digest
from counterpoise.experiments import cells as module
from counterpoise.experiments.cells import Run, code_digest, loading, own_code
from counterpoise.experiments.compare.cells import Runs
from counterpoise.experiments.compare.planning import by_label, fingerprints
from counterpoise.experiments.computing import compute_cell
from counterpoise.experiments.store import Store
from counterpoise.training import Recipe, TrainerOptions
from experiments.compare import made
from training import runs


def candidate(**changes):
    return made.grid(**changes).candidates()[0]


def cell(seed=0, **changes):
    found = candidate(**changes)
    return Runs(redraw=True).of(found, seed)


def test_the_same_configuration_has_the_same_key_in_another_grid():
    one, two = cell(), cell(name="other", seeds=7, methods={"Joint": {"optimizer.weight_decay": 0}})
    assert one.key == two.key
    assert len(one.key) == 64


@pytest.mark.parametrize(
    "changes",
    [
        {"base": {**made.BASE, "trainer.max_epochs": 3}},
        {"base": {**made.BASE, "optimizer.learning_rate": 0.06}},
        {"data": {"blobs": {"data": "training.runs.Blobs", "data.num_train": 61}}},
        {"methods": {"Joint": {"method": "AGM"}}},
        {"methods": {"Joint": {"optimizer.weight_decay": 0.5}}},
    ],
)
def test_another_configuration_has_another_key(changes):
    assert cell(**changes).key != cell().key


def test_seed_data_and_versions_are_part_of_the_key(monkeypatch):
    ours = cell()
    assert cell(seed=1).key != ours.key
    assert made.run(ours.candidate, 0).key != ours.key
    module._versions.cache_clear()
    monkeypatch.setattr(module, "versions", lambda: {"counterpoise": "99"})
    assert cell().key != ours.key
    module._versions.cache_clear()


def test_code_of_ones_own_is_part_of_the_key_and_no_class_has_to_be_at_the_top(
    tmp_path, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "own_method_23.py"
    file.write_text("import counterpoise as cp\nclass Mine(cp.Joint):\n    pass\n")
    before = cell(methods={"Joint": {"method": "own_method_23.Mine"}})
    assert own_code(before.identity["recipe"])["own_method_23"] == file_digest(file)
    assert cell(methods={"Joint": {"method": "own_method_23.Mine"}}).key == before.key
    file.write_text(file.read_text() + "    weight = 2\n")
    assert cell(methods={"Joint": {"method": "own_method_23.Mine"}}).key != before.key
    within = {"class_path": "own_method_23.Outer.Inner", "init_args": {"path": "no.such.file"}}
    network = [{"module": "training.runs.Small.<locals>.Inner"}, {"module": "nowhere.Net"}, within]
    assert set(own_code(network)) == {"own_method_23", "training.runs"}
    assert own_code({"class_path": "__main__.Mine"}) == {}


def test_what_says_the_same_has_the_same_key():
    def key(method, **trainer):
        options = TrainerOptions(**trainer)
        return Run(Recipe(Synthetic(), method=method, trainer=options), "f" * 64).key

    assert key(cp.AGM(alpha=1, bound=2)) == key(cp.AGM(alpha=1.0, bound=2.0))
    assert key(cp.Joint(), gradient_clip_val=5) == key(cp.Joint(), gradient_clip_val=5.0)
    assert key(cp.AGM(bound=float("inf"))) != key(cp.AGM())


def test_a_setting_without_an_end_is_kept_and_read_again(tmp_path):
    method = {"class_path": "Windowed", "init_args": {"method": "AGM", "start": 1}}
    ours = cell(methods={"Joint": {"method": method}})
    assert ours.recipe.method.stop == float("inf")
    compute_cell(ours, tmp_path)
    record = Store(tmp_path).read(ours.key).record
    assert record["method"]["settings"]["stop"] == ".inf"


def test_a_result_is_kept_and_read_again(tmp_path):
    store, ours = Store(tmp_path), cell()
    assert store.read(ours.key) is None
    threads = torch.get_num_threads()
    compute_cell(ours, tmp_path)
    found = store.read(ours.key)
    assert (found.state, found.error, found.warnings) == ("done", None, [])
    assert found.identity == json.loads(json.dumps(ours.identity))
    assert found.record["seed"] == 0
    assert found.record["hardware"]["num_threads"] == 1
    assert found.code == code_digest()
    assert store.keys() == {ours.key}
    assert not list(store.running.iterdir())
    assert torch.get_num_threads() == threads


def test_a_result_is_found_again_after_the_module_of_a_class_has_moved(tmp_path, monkeypatch):
    changes = {"methods": {"AGM": {"method": "AGM"}}, "baseline": "AGM"}
    before = cell(**changes)
    assert before.identity["recipe"]["method"]["class_path"] == "counterpoise.AGM"
    compute_cell(before, tmp_path)
    monkeypatch.setattr(cp.AGM, "__module__", "counterpoise.methods.elsewhere")
    monkeypatch.setattr(cp.references.RunningMean, "__module__", "counterpoise.references.mean")
    after = cell(**changes)
    assert after.key == before.key
    assert Store(tmp_path).read(after.key).record["method"]["name"] == "AGM"


def test_results_do_not_depend_on_what_ran_before(tmp_path):
    ours = cell()
    compute_cell(ours, tmp_path / "a")
    compute_cell(cell(seed=1), tmp_path / "b")
    compute_cell(ours, tmp_path / "b")
    first, second = (Store(tmp_path / name).read(ours.key).record for name in "ab")
    assert first["test"] == second["test"]
    assert first["steps"] == second["steps"]


def test_what_fails_is_kept_with_its_error(tmp_path):
    ours = cell(methods={"Joint": {"method": "experiments.compare.made.Fails"}})
    compute_cell(ours, tmp_path)
    found = Store(tmp_path).read(ours.key)
    assert (found.state, found.record) == ("failed", None)
    assert found.error == "RuntimeError: there is nothing to learn here"
    assert "in loss" in found.traceback


def test_a_run_that_was_killed_goes_on(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    forward, calls = runs.Net.forward, []

    def counted(self, **inputs):
        calls.append(None)
        if len(calls) == stop:
            raise Killed
        return forward(self, **inputs)

    monkeypatch.setattr(runs.Net, "forward", counted)
    ours, store, stop = cell(), Store(tmp_path), 0
    compute_cell(ours, tmp_path / "whole")
    num_calls = len(calls)
    calls.clear()
    stop = num_calls - 3  # in the last epoch
    with pytest.raises(Killed):
        compute_cell(ours, tmp_path)
    assert store.started(ours.key)
    assert store.read(ours.key) is None
    calls.clear()
    stop = 0
    compute_cell(ours, tmp_path)
    assert len(calls) < num_calls
    assert not store.started(ours.key)
    whole, resumed = (Store(path).read(ours.key).record for path in (tmp_path / "whole", tmp_path))
    assert whole["test"] == resumed["test"]
    assert whole["steps"] == resumed["steps"]


def test_a_run_that_was_killed_before_it_began_starts_afresh(tmp_path):
    ours, store = cell(), Store(tmp_path)
    (store.running / ours.key / "checkpoints").mkdir(parents=True)
    compute_cell(ours, tmp_path)
    assert store.read(ours.key).state == "done"


def test_other_data_than_planned_are_a_failure(tmp_path):
    ours = made.run(candidate(), 0)
    compute_cell(ours, tmp_path)
    message = "ValueError: The data should be those that the run was planned with, fingerprint fff"
    assert Store(tmp_path).read(ours.key).error.startswith(message)


def test_warnings_are_kept(tmp_path, monkeypatch):
    def warns(recipe, *_, **__):
        import warnings

        warnings.warn("odd", RuntimeWarning, stacklevel=1)
        warnings.warn("odd", RuntimeWarning, stacklevel=1)
        raise ValueError("and wrong")

    monkeypatch.setattr("counterpoise.training.run.train", warns)
    monkeypatch.setattr("warnings.filters", [])
    ours = cell()
    compute_cell(ours, tmp_path)
    found = Store(tmp_path).read(ours.key)
    assert (found.warnings, found.error) == (["odd"], "ValueError: and wrong")


def test_each_data_set_is_loaded_once(monkeypatch):
    loaded, load = [], runs.Blobs.load
    monkeypatch.setattr(runs.Blobs, "load", lambda self: loaded.append(self) or load(self))
    data = {**made.DATA, "fewer": {"data": "training.runs.Blobs", "data.num_train": 37}}
    given = made.grid(data=data)
    found = by_label(given, fingerprints(given.candidates()))
    assert [source.num_train for source in loaded] == [59, 37]
    assert found["blobs"] == runs.Blobs().load().fingerprint
    assert found["fewer"] != found["blobs"]


def test_a_source_is_loaded_once_however_often_it_is_described(monkeypatch):
    loaded, load = [], runs.Blobs.load
    monkeypatch.setattr(runs.Blobs, "load", lambda self: loaded.append(self) or load(self))
    once = loading()
    assert once(runs.Blobs()) is once(runs.Blobs())
    assert once(runs.Blobs(num_train=37)) is not once(runs.Blobs())
    assert len(loaded) == 2


def test_a_run_begun_under_one_name_goes_on_under_another(tmp_path):
    ours = cell()
    named = Run(ours.recipe.replace(name="mine"), ours.fingerprint)
    assert (named.key, named.title) == (ours.key, "mine")
    first = ours.compute(Store(tmp_path), tmp_path / "run")
    assert named.compute(Store(tmp_path), tmp_path / "run") == first


def test_titles_say_what_is_run():
    found = made.grid(fusions=["film"], base={}, data={"digits": None}).candidates()
    assert made.run(found[3], 7).title == "digits film: AGM (alpha=2.5), seed 7"
    assert made.run(candidate(methods={"Joint": None}), 7).title == "blobs: Joint, seed 7"


def test_the_digest_of_code_is_stable():
    assert re.fullmatch(r"[0-9a-f]{64}", code_digest())
    assert code_digest() == code_digest()
