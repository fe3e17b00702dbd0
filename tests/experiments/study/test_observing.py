"""Runs and measurements are made once and kept."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

from counterpoise.data import Synthetic
from counterpoise.experiments.study.findings import Findings
from counterpoise.experiments.study.observations import Observations
from counterpoise.experiments.study.observing import observe
from counterpoise.experiments.study.study import Case, Study
from counterpoise.experiments.study.synthetic_settings import recipe_for
from counterpoise.experiments.trained import Trained

DATA = Synthetic((0.6, 0.2), 0.0, 0.0, num_validation=19, num_test=23, num_features=10)
MEASURED: list[tuple[str, int]] = []


@dataclass(frozen=True)
class Sizes(Study):
    """Two conditions that share a run of each seed, one with a run of its own besides."""

    name: ClassVar[str] = "sizes"
    question: ClassVar[str] = "How large are the runs?"

    num_seeds: int = 2

    def cases(self) -> list[Case]:
        def run(size: int, seed: int) -> Any:
            return recipe_for(DATA, "additive", max_epochs=1, seed=seed, num_train=size)

        seeds = list(reversed(range(self.num_seeds)))
        pairs = [Case(("pair",), s, {"one": run(59, s), "other": run(61, 0)}) for s in seeds]
        return [*pairs, *(Case(("lone",), s, {"one": run(59, s)}) for s in seeds)]

    @staticmethod
    def measure(runs: Mapping[str, Trained]) -> dict[str, Any]:
        one = runs["one"]
        MEASURED.append((one.recipe.name, one.recipe.seed))
        assert not one.balanced.training
        assert one.record["data"]["fingerprint"] == one.splits.fingerprint
        return {
            "seed": one.recipe.seed,
            "sizes": {part: len(run.splits.train) for part, run in runs.items()},
        }

    def find(self, seen: Observations) -> Findings:
        raise NotImplementedError


@dataclass(frozen=True)
class Seeds(Sizes):
    """Another question to the same runs."""

    name: ClassVar[str] = "seeds"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder in which everything has been made once, with what was told and seen meanwhile."""
    folder, told = tmp_path_factory.mktemp("studies"), []
    MEASURED.clear()
    seen = observe(Sizes(), folder, backend="threading", progress=lambda *news: told.append(news))
    return folder, told, seen, list(MEASURED)


@pytest.fixture
def copy(made, tmp_path):
    """A copy of that folder, to change."""
    return shutil.copytree(made[0], tmp_path / "studies")


def again(study, folder):
    """What is told on another call."""
    MEASURED.clear()
    told = []
    seen = observe(study, folder, backend="threading", progress=lambda *news: told.append(news))
    return seen, told


def test_each_run_is_trained_once_and_each_case_measured_once(made):
    folder, told, _, measured = made
    assert [last.split()[0] for _, _, last in told[1:]] == ["trained"] * 3 + ["measured"] * 4
    assert [done for done, _, _ in told] == list(range(8))
    assert {total for _, total, _ in told} == {7}
    assert told[0][2] == ""
    assert told[4][2] == "measured pair, seed 1"
    assert len(measured) == 4
    assert len(list((folder / "models").iterdir())) == 3
    assert len(list((folder / "results").iterdir())) == 3 + 4


def test_values_come_in_order_of_seeds_and_conditions_in_order_of_cases(made):
    seen = made[2]
    assert seen.conditions == [("pair",), ("lone",)]
    assert seen.num_seeds == 2
    for condition in seen.conditions:
        assert seen.values(condition, "seed") == [0, 1]
    assert seen.values(("pair",), "sizes") == [{"one": 59, "other": 61}] * 2
    assert seen.values(("lone",), "sizes", "one") == [59, 59]


def test_what_is_there_is_neither_trained_nor_measured_again(made):
    folder, _, first, _ = made
    seen, told = again(Sizes(), folder)
    assert told == [(0, 0, "all is there already")]
    assert MEASURED == []
    assert seen.measured == first.measured


def test_only_what_was_lost_is_measured_again(made, copy):
    results = {path: json.loads(path.read_text("utf-8")) for path in (copy / "results").iterdir()}
    lost = min(p for p, found in results.items() if found["identity"].get("study") == "sizes")
    lost.unlink()
    seen, told = again(Sizes(), copy)
    assert [last.split()[0] for _, _, last in told[1:]] == ["measured"]
    assert lost.is_file()
    assert seen.measured == made[2].measured


def test_another_study_measures_for_itself_on_the_same_runs(copy):
    _, told = again(Seeds(), copy)
    assert [last.split()[0] for _, _, last in told[1:]] == ["measured"] * 4
    assert len(list((copy / "models").iterdir())) == 3


def test_what_measures_otherwise_measures_again(copy, monkeypatch):
    monkeypatch.setattr(
        "counterpoise.experiments.study.observing.code_digest", lambda **_: "other sources"
    )
    _, told = again(Sizes(), copy)
    assert [last.split()[0] for _, _, last in told[1:]] == ["measured"] * 4


def test_more_seeds_train_the_new_seed_alone(copy):
    seen, told = again(replace(Sizes(), num_seeds=3), copy)
    assert sum(last.startswith("trained") for _, _, last in told) == 1
    assert sum(last.startswith("measured") for _, _, last in told) == 2
    assert seen.values(("lone",), "seed") == [0, 1, 2]


def test_intervals_take_two_seeds():
    with pytest.raises(ValueError, match="`num_seeds` should be at least 2; found 1"):
        Sizes(num_seeds=1)


def test_shares_have_intervals_of_shares():
    seen = Observations({("a",): [{"accuracy": 1.0, "x": 1.0}, {"accuracy": 0.9, "x": 0.9}]})
    assert seen.mean(("a",), "accuracy")[1:3] == (pytest.approx(0.3147, abs=1e-4), 1.0)
    assert seen.mean(("a",), "x").high > 1.5


def test_differences_are_paired_by_seed():
    seen = Observations({("a",): [{"x": 1.0}, {"x": 5.0}], ("b",): [{"x": 0.5}, {"x": 4.5}]})
    assert seen.estimate(("a",), ("b",), "x").mean == 0.5
    assert seen.mean(("a",), "x").mean == 3.0
    assert seen.describe()[1] == {"condition": ["b"], "measured": [{"x": 0.5}, {"x": 4.5}]}
