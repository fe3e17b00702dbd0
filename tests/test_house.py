"""The plan of the house: imports lead downwards, in no circle, and the mathematics stays light."""

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def load():
    """The script that counts the house."""
    path = ROOT / "benchmarks" / "house.py"
    spec = importlib.util.spec_from_file_location("house", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["house"] = module  # where its data classes look for their types
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    return load()


@pytest.fixture(scope="module")
def house(script):
    return script.House()


@pytest.fixture
def build(script, tmp_path):
    """Makes a house of files with the texts that are given by their paths."""

    def made(files):
        for name, text in files.items():
            path = tmp_path / "counterpoise" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return script.House(tmp_path / "counterpoise")

    return made


def test_every_room_has_a_floor(house):
    assert house.unknown_rooms() == set()


def test_no_import_leads_upwards(house):
    assert house.upward() == []


def test_no_files_and_no_rooms_import_each_other_in_a_circle(house):
    assert house.circles == []


def test_the_mathematics_imports_pytorch_and_nothing_heavier(house):
    assert house.heavy() == []


def test_the_house_is_no_larger_than_planned(house):
    assert len(house.rooms) <= 14
    assert house.num_floors <= 9


def test_an_import_upwards_is_found_wherever_it_stands(build):
    house = build(
        {
            "core/a.py": "def f():\n    from counterpoise.engine import b\n",
            "engine/b.py": "from typing import TYPE_CHECKING\n"
            "if TYPE_CHECKING:\n    from counterpoise.data.c import C\n",
            "data/c.py": "import counterpoise.core.a\nfrom counterpoise.training.d import D\n",
            "training/d.py": "from counterpoise.data import c\n",
        }
    )
    assert house.upward() == [
        "core.a -> engine.b",
        "data.c -> training.d",
        "engine.b -> data.c",
    ]


def test_rooms_of_one_floor_do_not_import_each_other(build):
    house = build(
        {"report/a.py": "from counterpoise.measures.b import B\n", "measures/b.py": "B = 1\n"}
    )
    assert house.upward() == ["report.a -> measures.b"]


def test_circles_are_found_between_files_of_one_room_and_through_packages(build):
    house = build(
        {
            "core/__init__.py": "from counterpoise.core.a import A\n",
            "core/a.py": "def f():\n    from counterpoise.core import A\n",
            "core/b.py": "from counterpoise.core.a import A\n",
        }
    )
    assert house.circles == [{"core.__init__", "core.a"}]


def test_heavy_imports_are_found(build):
    house = build({"core/a.py": "import math, torch\n\ndef f():\n    import numpy as np\n"})
    assert house.heavy() == ["core.a -> numpy"]


def test_counts(build, script, capsys, monkeypatch):
    text = '"""Why."""\n\nfrom counterpoise.core.b import B  # but\n\n# not\nC = B\n"""What."""\n'
    house = build({"cli/a.py": text, "core/b.py": "B = (\n    1,\n)\n"})
    assert (house.num_lines, house.num_code_lines) == (10, 5)
    assert (house.num_floors, house.num_arrows) == (2, 1)
    monkeypatch.setattr("sys.argv", ["house.py", str(house.root)])
    script.main()
    shown = capsys.readouterr().out.split("\n")
    assert shown[:4] == ["lines    10", "code     5", "files    2", "rooms    2: cli, core"]
    assert shown[4:] == ["floors   2", "arrows   1", "circles  0", ""]


def test_lines_by_feature(house, build, script, capsys, monkeypatch):
    small = build({"cli/a.py": "A = 1\n" * 2, "core/b.py": "B = 1\n" * 3, "core/c.py": "C = 1\n"})
    assert small.by_feature({"more": ["core"]}) == {"": 2, "more": 4}
    assert small.by_feature({"more": ["core/b.py"], "most": []}) == {"": 3, "more": 3, "most": 0}
    with pytest.raises(ValueError, match=r"`core/d\.py` should be .* found no file\. Mend"):
        small.by_feature({"more": ["core/d.py"]})
    with pytest.raises(ValueError, match=r"`core/b\.py` should be .* found it twice"):
        small.by_feature({"more": ["core"], "most": ["core/b.py"]})
    monkeypatch.setattr("sys.argv", ["house.py", "--by-feature"])
    script.main()
    rows = [row.split(" | ") for row in capsys.readouterr().out.splitlines()[2:]]
    counts = [int(count.strip(" |").replace(",", "")) for _, count in rows]
    assert counts[0] + counts[1] == house.num_lines
    assert counts[1] == sum(counts[2:])
