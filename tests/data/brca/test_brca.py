"""BRCA in the format of MOGONET."""

import numpy as np
import pytest

from counterpoise.data import BRCA
from counterpoise.data.files.cache import CorruptFileError

SIZES = (7, 5, 3)


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    for ending, number in (("tr", 61), ("te", 23)):
        labels = np.arange(number) % 5
        lines = "\r\n".join(f"{label:e}" for label in labels)
        (tmp_path / f"labels_{ending}.csv").write_bytes(lines.encode() + b"\r\n")
        for place, size in enumerate(SIZES, 1):
            values = draw.normal(0, 0.1, (number, size)) + labels[:, None]
            np.savetxt(tmp_path / f"{place}_{ending}.csv", values, delimiter=",")
    return tmp_path


def test_tables_are_divided_with_a_share_of_each_class_for_validation(folder):
    splits = BRCA(root=folder).load()
    assert splits.sample_shapes == {"mrna": (7,), "methylation": (5,), "mirna": (3,)}
    assert splits.num_classes == 5
    assert sorted(splits.validation.target.tolist()) == [0, 1, 2, 3, 4]
    assert len(splits.train) == 56
    assert splits.test.target.tolist() == [row % 5 for row in range(23)]
    written = np.loadtxt(folder / "2_te.csv", delimiter=",").astype(np.float32)
    assert np.array_equal(splits.test.inputs["methylation"].numpy(), written)
    for name in splits.modalities:
        means = splits.train.inputs[name].mean(1)
        assert (means - splits.train.target).abs().max() < 0.5


@pytest.mark.parametrize(
    ("name", "content", "kind", "trouble"),
    [
        ("3_tr.csv", None, FileNotFoundError, "hold 3_tr.csv of MOGONET's BRCA; found none in"),
        ("1_te.csv", "1,x\n" * 23, CorruptFileError, "hold numbers alone; found others"),
        (
            "1_te.csv",
            "1,2\n" * 22,
            CorruptFileError,
            r"hold numbers of shape \(23, any\) as numbers; found",
        ),
        ("1_te.csv", "1,2\n3\n", CorruptFileError, "have 2 columns .*; found 1 in line 2"),
        ("labels_tr.csv", "0.5\n" * 61, CorruptFileError, "hold classes from 0; found others"),
        ("labels_tr.csv", "nan\n" * 61, CorruptFileError, "hold finite numbers"),
    ],
)
def test_files_that_hold_something_else_are_named(folder, name, content, kind, trouble):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_text(content)
    with pytest.raises(kind, match=f"should {trouble}"):
        BRCA(root=folder).load()
