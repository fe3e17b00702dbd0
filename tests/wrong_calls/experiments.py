"""Wrong calls of comparisons, studies, reports and integrations."""

from __future__ import annotations

from typing import Any

import counterpoise as cp
from counterpoise import experiments, integrations, report
from counterpoise.data import Synthetic
from counterpoise.experiments import compare, compete, study
from counterpoise.training import Recipe
from wrong_calls.engine import wrapped
from wrong_calls.values import INF, NAN, NOT_COUNTS, NOT_FLAGS, NOT_RATES, Net, Row

GRID = {"data": {"synthetic": None}, "methods": {"Joint": None, "AGM": None}}


def candidates(**settings: Any) -> object:
    """The configurations of a grid, which is when its layers become recipes."""
    return compare.Grid(**GRID | settings).candidates()


LABELS = ({}, None, "synthetic", ["synthetic"], {"synthetic": 3}, {3: None}, {"": None})
NOT_FINITE = (NAN, INF, "x", None)
RECIPE = Recipe(Synthetic())
RESPONSES = study.study_class("responses")

# fmt: off
EXPERIMENTS: list[Row] = [
    (experiments.Execution, {"backend": "threading"}, {
        "backend": ("lokky", None, 3), "jobs": (0, 1.5, "x", True), "part": ("3", "0/2", "3/2", 3),
        "time_limit": (0, -1, NAN, "x", 3.0), "address": ("auto", 3), "retry_failed": NOT_FLAGS,
    }),
    (experiments.Store, {"path": None}, {"path": (3, True, b"x")}),
    (compare.Grid, GRID, {
        "data": LABELS,
        "methods": (*LABELS, {"Joint": {"search": 3}}, {"Joint": {"search": {"a": []}}},
                    {"Joint": {"data": "x"}},
                    {"Joint": None, "AGM": {"search": {"method.alpha": [1, 2]}}}),
        "baseline": ("Jont", None, 3),
        "seeds": (0, -1, 1.5, "x", [], [1, 1], [-1], ["x"], None, True),
        "fusions": ("maxout", [], ["maxot"], ["maxout", "maxout"], 3), "base": (3, None, "x"),
        "search": (3, "x", {"a": 3}), "trials": (0, 1.5, "x"),
        "search_seeds": (0, 1.5, "x", []), "redraw": NOT_FLAGS,
        "pairs": ([["AGM"]], [["AGM", "Jont"]], 3, "x", [3]),
        "competition": (3, "yes", {"fussed": "x"}, None), "margin": (0, 1, NAN, "x", None),
        "name": ("", "a/b", "..", 3, None),
    }),
    (candidates, {}, {
        "base": ({"sed": 3}, {"trainer.max_epoch": 3}, {"seed": -1}, {"batch_size": 0}),
        "data": ({"syntetic": None}, {"synthetic": {"data.num_trian": 3}}),
        "methods": ({"Joint": None, "AMG": None}, {"Joint": None, "AGM": {"method.alhpa": 1.0}}),
    }),
    (compare.compare, {"grid": compare.Grid(**GRID)}, {
        "grid": (None, "grid.yaml", GRID, compare.Grid), "backend": ("lokky",), "jobs": (0,),
        "progress": NOT_FLAGS, "runs": (3, b"x"), "output": (3, b"x"),
    }),
    (compare.read_grid, {"path": "missing.yaml"}, {"path": (3, None)}),
    (compete.compete, {"recipe": RECIPE}, {
        "recipe": (None, "digits-agm", Synthetic(), Recipe),
        "num_seeds": NOT_COUNTS, "ridge": NOT_RATES, "methods": ("AGM", [cp.AGM], 3, ["AGM"]),
        "fused": ("fussion", 3), "concept": ("fussion", 3), "backend": ("lokky",), "jobs": (0,),
    }),
    (study.study_class, {"name": "responses"}, {"name": ("response", "", None, 3)}),
    (RESPONSES, {}, {"num_seeds": NOT_COUNTS}),
    (study.observe, {"study": RESPONSES()}, {"study": (None, "responses", RESPONSES, 3)}),
    (integrations.BalancedTrainer, {"model": wrapped()}, {"model": (Net(), None, cp.Balanced)}),
    (integrations.BalancingCallback, {}, {"inputs": (3, "x"), "attribute": (3, "")}),
    (report.Format, {}, {"digits": (-1, 1.5, "x", None), "factor": NOT_FINITE}),
    (report.write_run_report, {"records": [], "path": "x"}, {"records": ([], None, [3], "x")}),
    (report.write_log_report, {"entries": [], "path": "x"}, {"entries": ([], None, [3], "x")}),
]
