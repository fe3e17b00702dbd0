"""How cells are run: what is refused, and which cells are a part."""

import re

import pytest

from counterpoise.experiments import Execution


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "lokey"}, "found 'lokey'. Did you mean 'loky'?"),
        ({"jobs": 0}, "`jobs` should be at least 1; found 0."),
        (
            {"address": "host:1"},
            "`address` should be left out with the back end 'loky'; found 'host:1'. Or choose a "
            "back end that has one: ray, dask.",
        ),
        ({"time_limit": 0.0}, "`time_limit` should be finite, above 0; found 0"),
        (
            {"time_limit": 5.0, "backend": "threading"},
            "`time_limit` should be left out with the back end 'threading'; found 5.0. Or choose a "
            "back end that has one: loky, ray, dask.",
        ),
        *(
            (
                {"part": part},
                "`part` should be K/N for the Kth of N parts, such as 3/16; found "
                f"{part!r}. Count from 1.",
            )
            for part in ("0/3", "4/3", "1", "1/", "-1/3", "", 2)
        ),
    ],
)
def test_what_cannot_be_is_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Execution(**options)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_parts_are_the_whole_each_cell_in_one(count):
    cells = list(range(5))
    parts = [Execution(part=f"{k}/{count}").mine(cells) for k in range(1, count + 1)]
    assert sorted(cell for part in parts for cell in part) == cells
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("name", "module"), [("ray", "ray"), ("dask", "distributed")])
def test_a_back_end_whose_package_is_missing_says_how_to_get_it(monkeypatch, name, module):
    monkeypatch.setattr(
        "counterpoise.data.files.extras.find_spec", lambda wanted: None if wanted == module else 1
    )
    message = (
        f"The back end '{name}' needs {module}; not installed: {module}. "
        f'Run: pip install "counterpoise[{name}]"'
    )
    with pytest.raises(ImportError, match=re.escape(message)):
        Execution(name)
