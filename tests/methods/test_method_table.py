"""The table of methods in the docs says what methods declare: ``benchmarks/method_table.py``."""

import csv
import importlib.util
import sys
from pathlib import Path

import yaml

import counterpoise as cp

ROOT = Path(__file__).parents[2]


def load():
    path = ROOT / "benchmarks" / "method_table.py"
    spec = importlib.util.spec_from_file_location("method_table", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["method_table"] = module
    spec.loader.exec_module(module)
    return module


SCRIPT = load()


def cells(line):
    return tuple(cell.strip() for cell in line.strip("|").split("|"))


def test_the_docs_have_a_row_for_each_method_with_what_it_declares():
    page = SCRIPT.PAGE.read_text()
    begin, end = (marker.partition("{}")[0] for marker in (SCRIPT.BEGIN, SCRIPT.END))
    inside = page.partition(begin)[2].partition(end)[0]
    rows = [cells(line) for line in inside.splitlines() if line.startswith("|")]
    assert rows[0][:6] == ("method", "paper", "acts on", "needs", "tasks", "cost")
    assert [row[:5] for row in rows[2:]] == SCRIPT.rows_of(SCRIPT.names())
    folder = inside.split()[1]
    assert (ROOT / folder / "results.csv").is_file()


def test_what_is_declared_is_what_methods_do():
    declared = {name: SCRIPT.declared(name) for name in SCRIPT.names()}
    kinds = [getattr(cp, n) for n in cp.__all__ if isinstance(getattr(cp, n), type)]
    exported = {k.__name__ for k in kinds if issubclass(k, cp.Method)}
    assert set(declared) == exported - {"Method", "Chain", "Windowed"}
    assert declared["Joint"] == ("", "nothing", "", "all")
    assert declared["MMPareto"].paper == "Wei and Hu, ICML 2024"
    assert declared["OPM"] == (
        "Wei et al., TPAMI 2024",
        "features",
        "encoders, unimodal logits",
        "all",
    )
    assert declared["MSES"].acts_on == "learning rates, weights"
    assert declared["MSES"].needs == "branches, validation, rates"
    assert declared["Remix"].needs == "encoders, unimodal logits, epochs, `steps`"
    assert declared["CML"].tasks == "classification, segments"


def test_costs_and_outcomes_are_those_of_the_files(tmp_path):
    cost = tmp_path / "cost.md"
    cost.write_text(
        "| method | late | early |\n|---|---|---|\n| Joint | 3.0 ms | 5.0 ms |\n"
        "| OGMGE | 1.10 (1.00) | not run |\n"
    )
    layers = {"Joint": {}, "noisy": {"method": "OGMGE"}, "AGM": None}
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump({"methods": layers}))
    columns = ("data", "fusion", "method", "accuracy_mean", "difference_mean", "verdict")
    rows = [
        ("left", "late", "Joint", "0.875", "", ""),
        ("left", "late", "noisy", "0.85", "-0.025", "lower"),
        ("left", "late", "AGM", "0.8745", "-0.0001", "not distinguishable"),
    ]
    with (tmp_path / "results.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    lines = [cells(line) for line in SCRIPT.table(tmp_path, cost).splitlines()]
    assert lines[0][5:] == ("cost", "left late")
    found = {line[0].partition(".")[2].rstrip("`"): line[5:] for line in lines[2:]}
    assert found["Joint"] == ("1\N{NO-BREAK SPACE}/\N{NO-BREAK SPACE}1", "87.5%")
    assert found["OGMGE"] == ("1.10\N{NO-BREAK SPACE}/\N{NO-BREAK SPACE}-", "**\N{MINUS SIGN}2.5**")
    assert found["AGM"] == ("-", "0.0")
    assert found["MLA"] == ("-", "-")
