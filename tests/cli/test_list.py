"""``counterpoise list``."""

import pytest

import counterpoise as cp
from counterpoise.cli.list import KINDS, listed
from counterpoise.cli.main import main
from counterpoise.data import SOURCES
from counterpoise.models import FUSIONS
from counterpoise.training.config.packaged import names


def entries(text):
    """The first word of every line that begins an entry."""
    return [line.split()[0] for line in text.splitlines() if not line.startswith(" ")]


def test_it_lists_all_there_is():
    assert entries(listed("data")) == sorted(SOURCES)
    assert entries(listed("recipes")) == names()
    assert entries(listed("fusions")) == list(FUSIONS)


def test_methods_are_those_that_train_by_themselves():
    found = set(entries(listed("methods")))
    assert {"AGM", "Joint", "MSES", "OGMGE", "UnimodalLoss"} <= found
    assert not found & {"Method", "Chain", "Windowed", "Balanced"}
    assert all(issubclass(getattr(cp, name), cp.Method) for name in found)


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("width", [60, 80])
def test_every_entry_is_explained_in_lines_that_fit(what, width):
    for line in listed(what, width=width).splitlines():
        assert len(line) <= width
        assert len(line.split()) > 1 or line.startswith(" ")


def test_the_command_prints_the_list(capsys):
    assert main(["list", "recipes"]) == 0
    assert entries(capsys.readouterr().out) == names()


def test_an_unknown_list_is_one_line_with_the_nearest(capsys):
    assert main(["list", "fusion"]) == 2
    assert capsys.readouterr().err == (
        "counterpoise: error: `what` should be one of methods, data, recipes, fusions; found "
        "'fusion'. Did you mean 'fusions'?\n"
    )
