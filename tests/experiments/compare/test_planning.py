import re

import pytest
import torch
from torch import nn

from counterpoise.data import Synthetic
from counterpoise.experiments.compare.planning import by_label, fingerprints
from counterpoise.experiments.compare.run import compare
from counterpoise.training import Architecture, Network
from experiments.compare import made

SMALL = {"data": "Synthetic", "data.num_train": 53, "data.num_validation": 11, "data.num_test": 11}
METHODS = {"Joint": None, "AGM": None}


class Broken(Architecture):
    """An architecture that looks for a modality that there is not."""

    def build(self, splits):
        return nn.Linear(splits.sample_shapes["smell"][0], 3)


def grid(**changes):
    given = {"data": {"small": SMALL}, "methods": METHODS, "base": {}}
    return made.grid(**(given | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"base": {"model.encoder": {"m3": "mlp"}}},
            "`encoder` should name encoders of 'm1', 'm2'; found 'm3'. Rename the entry. "
            "(At `data.small` in the grid.)",
        ),
        (
            {"base": {"model.encoder": "lenet"}, "fusions": ["film"]},
            "for the encoder 'lenet'; found (32,). Reshape the samples, or choose another "
            "encoder. (At `data.small`, film in the grid.)",
        ),
        (
            {"base": {"model": "experiments.compare.test_planning.Broken"}},
            "`model` should be one that can be built for the data; found that it ends with "
            "KeyError: 'smell'. Correct it, or choose another. (At `data.small` in the grid.)",
        ),
    ],
)
def test_a_network_that_cannot_be_built_is_one_error_before_anything_runs(
    tmp_path, changes, message
):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        compare(grid(**changes), tmp_path / "out", progress=False)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_data_are_loaded_and_networks_built_once(monkeypatch):
    loaded, built = [], []
    load, build = Synthetic.load, Network.build
    monkeypatch.setattr(Synthetic, "load", lambda source: loaded.append(source) or load(source))
    monkeypatch.setattr(
        Network,
        "build",
        lambda network, splits: built.append(network.fusion) or build(network, splits),
    )
    data = {"small": SMALL, "same": SMALL, "other": {**SMALL, "data.num_train": 59}}
    before = torch.get_rng_state()
    given = grid(data=data, fusions=["film", "additive"])
    found = by_label(given, fingerprints(given.candidates()))
    assert torch.equal(torch.get_rng_state(), before)
    assert len(loaded) == 2
    assert built == ["film", "additive"] * 2
    assert found["small"] == found["same"] != found["other"]
    sources = [loaded[0], loaded[0], loaded[1]]
    assert found == {
        label: load(source).fingerprint for label, source in zip(data, sources, strict=True)
    }
