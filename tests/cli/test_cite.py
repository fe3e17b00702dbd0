"""``counterpoise cite``: the entries of methods, and of the methods that runs used."""

import re

import pytest

import counterpoise as cp
from counterpoise.cli.main import main
from counterpoise.data import Synthetic
from counterpoise.methods.bibliography import REFERENCES
from counterpoise.models import Cosine
from counterpoise.training import Network, Recipe, TrainerOptions, train
from counterpoise.training.record import sealed, write_json


def test_every_method_has_a_reference():
    kinds = [getattr(cp, name) for name in cp.__all__]
    methods = {k.__name__ for k in kinds if isinstance(k, type) and issubclass(k, cp.Method)}
    assert set(REFERENCES) == methods - {"Method", "Joint", "Windowed", "Chain"} | {"MMCosine"}


def test_keys_tell_publications_apart_and_braces_are_closed():
    entries = {reference.key: reference for reference in REFERENCES.values()}
    assert len(entries) == len({reference.title for reference in entries.values()})
    for reference in entries.values():
        text = reference.entry
        assert "keywords" not in text
        assert text.count("{") == text.count("}")
        assert re.match(rf"@(article|inproceedings){{{reference.key},\n", text)
        assert 2018 < reference.year < 2027


@pytest.mark.parametrize("name", REFERENCES)
def test_what_is_cited_is_what_the_method_names_as_its_reference(name):
    reference = REFERENCES[name]
    kind = Cosine if name == "MMCosine" else getattr(cp, name)
    text = " ".join(kind.__doc__.split())
    assert f'"{reference.title}"' in text
    first, *others = (author.partition(",")[0] for author in reference.author.split(" and "))
    by = f"{first} and {others[0]}" if len(others) == 1 else f"{first} et al."
    cited = text[text.index(f'{by}, "{reference.title}"') :]
    venue = re.search(r"\(\w+\)|ACL|Pattern Analysis", reference.venue)
    short = venue[0].strip("()").replace("Pattern Analysis", "TPAMI")
    assert re.match(rf".{{0,200}}{short} {reference.year}\b", cited), cited


def test_methods_are_cited_once_each_in_their_order(capsys):
    assert main(["cite", "OGM", "AGM", "OGMGE", "Joint"]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"@\w+{(\w+),", out) == ["peng2022balanced", "li2023boosting"]


def test_runs_are_cited_by_their_records(capsys, tmp_path):
    for name in ("Joint", "UnimodalLoss + AGM", "Mine", "AGM"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        record = {"method": {"name": name}, "model": {"settings": {"fusion": "maxout"}}}
        write_json(tmp_path / "runs" / name / "record.json", sealed(record))
    assert main(["cite", str(tmp_path / "runs")]) == 0
    keys = re.findall(r"@\w+{(\w+),", capsys.readouterr().out)
    assert sorted(keys) == ["li2023boosting", "wang2020what"]
    assert main(["cite", str(tmp_path / "runs" / "Joint")]) == 0
    assert capsys.readouterr().out == "% Joint training alone: there is no method to cite.\n"
    (tmp_path / "runs" / "AGM" / "record.json").write_text("half of")
    assert main(["cite", str(tmp_path / "runs")]) == 2
    assert "should be a file as it was written; found one that is not JSON" in (
        capsys.readouterr().err
    )


def test_a_run_is_cited_with_the_methods_in_windows_and_chains_and_its_fusion(capsys, tmp_path):
    method = cp.chain(cp.UnimodalLoss(heads="linear"), cp.Windowed(cp.OGM(), 0, 1))
    recipe = Recipe(
        Synthetic(num_train=32, num_validation=16, num_test=16),
        method,
        Network(fusion="cosine", num_features=3),
        trainer=TrainerOptions(max_epochs=1, accelerator="cpu"),
    )
    train(recipe, tmp_path / "run", progress=False)
    assert main(["cite", str(tmp_path / "run")]) == 0
    keys = re.findall(r"@\w+{(\w+),", capsys.readouterr().out)
    assert keys == ["wang2020what", "peng2022balanced", "xu2023mmcosine"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("AMG", "`name` should be one of 'AGM', .*; found 'AMG'. Did you mean 'AGM'"),
        (".", r"`what` should be methods or folders of runs; found no record\.json below '\.'"),
    ],
)
def test_what_is_neither_is_an_error_in_one_line(word, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["cite", word]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line), line
