import dataclasses
import re

import pytest

from counterpoise.data import SOURCES, DataSource, Digits, Synthetic, load, register


def test_names_lead_to_sources_whose_options_have_defaults():
    assert {"digits": Digits, "synthetic": Synthetic}.items() <= SOURCES.items()
    for name, source in SOURCES.items():
        assert source.name == name
        assert isinstance(source(), DataSource)


def test_options_reach_the_source():
    by_name = load("synthetic", unique=[0.3, 0.2, 0.1], num_train=13, num_classes=3)
    directly = Synthetic(unique=(0.3, 0.2, 0.1), num_train=13, num_classes=3).load()
    assert by_name.fingerprint == directly.fingerprint
    assert len(by_name.train) == 13


@pytest.mark.parametrize(
    ("name", "hint"), [("digit", " Did you mean 'digits'?"), ("zzz", "")], ids=["near", "far"]
)
def test_an_unknown_name_is_refused_with_the_nearest(name, hint):
    known = "av-mnist, ave, brca, cmu-mosei, cmu-mosi, crema-d, digits, "
    known += "kinetics-sounds, synthetic, ur-funny"
    message = f"`name` should be a known data set ({known}); found {name!r}.{hint}"
    with pytest.raises(ValueError, match=re.escape(message) + "$"):
        load(name)


def test_an_unknown_option_is_refused_with_the_nearest():
    with pytest.raises(TypeError, match=r"found 'sed'\. Did you mean 'seed'\?"):
        load("synthetic", sed=1)


def test_own_data_sets_can_be_registered_once(monkeypatch):
    monkeypatch.setattr("counterpoise.data.registry.SOURCES", dict(SOURCES))

    @register
    @dataclasses.dataclass(frozen=True)
    class Own(DataSource):
        name = "own"
        size: int = 5

        def load(self):
            return Synthetic(num_train=self.size).load()

    assert len(load("own", size=3).train) == 3
    assert register(Own) is Own
    other = type("Other", (Own,), {})
    with pytest.raises(ValueError, match="found 'own', which is Own"):
        register(other)


def test_a_configuration_file_can_build_each_source():
    jsonargparse = pytest.importorskip("jsonargparse")
    parser = jsonargparse.ArgumentParser()
    parser.add_argument("--data", type=DataSource)
    given = [
        "--data=counterpoise.data.Synthetic",
        "--data.unique=[0.2, 0.1]",
        "--data.noise=[0.0, 0.1]",
        "--data.shifts=[{epoch: 3, unique: [0.1, 0.2], synergy: 0.3}]",
    ]
    parsed = parser.parse_args(given)
    source = parser.instantiate(parsed).data
    assert isinstance(source, Synthetic)
    assert source.unique == (0.2, 0.1)
    assert source.noise == (0.0, 0.1)
    assert source.shifts[0].synergy == 0.3
    again = parser.instantiate(parser.parse_string(parser.dump(parsed))).data
    assert again == source
    digits = parser.parse_args(["--data=counterpoise.data.Digits", "--data.image_noise=0.5"])
    assert parser.instantiate(digits).data == Digits(image_noise=0.5)
