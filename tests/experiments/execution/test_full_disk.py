"""What becomes of a comparison whose disk is full: one error, no result, and it can go on."""

import errno
import re

import pytest

from counterpoise.cli.main import main
from counterpoise.data.files.folders import DiskFullError
from counterpoise.experiments import store as kept_in
from counterpoise.experiments.store import Store
from counterpoise.training.record import write_json
from experiments.compare import made
from training import runs

ELSEWHERE = ["loky", *(pytest.param(name, marks=pytest.mark.slow) for name in ("ray", "dask"))]


def filling(path):
    """A grid whose second cell finds the disk full, and what frees it."""
    marker = path / "full"
    marker.touch()
    held = {"method": "experiments.compare.made.Fills", "method.marker": str(marker)}
    return made.grid(methods={"Joint": None, "fills": held}, seeds=1), marker


@pytest.mark.parametrize("backend", ["threading", *ELSEWHERE])
def test_a_full_disk_ends_a_comparison_which_goes_on_when_there_is_room(tmp_path, backend):
    given, marker = filling(tmp_path)
    out = tmp_path / "out"
    message = (
        rf"^`(runs|output)` should have room for what .*; found at '{re.escape(str(out))}.*': "
        r"\[Errno 28\] No space left on device.*Free some room"
    )
    with pytest.raises(DiskFullError, match=message):
        made.compared(given, out, backend=backend, jobs=1)
    store = Store(out)
    kept = [store.read(key).state for key in sorted(store.keys())]
    assert kept == ["done"]  # that of the other cell, which came first
    assert not (out / "report.html").exists()
    marker.unlink()
    joint, fills = made.compared(given, out).blocks[0].rows
    assert joint.accuracy.mean == fills.accuracy.mean
    assert {path.suffix for path in store.running.iterdir()} <= {".lock"}


def test_a_result_that_cannot_be_written_leaves_nothing_and_its_run_is_not_lost(
    tmp_path, monkeypatch
):
    given = made.grid(methods={"Joint": None}, seeds=1)

    def stop(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device", "last.ckpt")

    def write(path, content):
        with monkeypatch.context() as within:
            within.setattr("counterpoise.core.files.os.fsync", stop)
            write_json(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(kept_in, "write_json", write)
        with pytest.raises(DiskFullError, match=r"`runs` should have room .* Free some room"):
            made.compared(given, tmp_path)
    store = Store(tmp_path)
    assert not list(store.results.iterdir())
    steps = []
    forward = runs.Net.forward
    monkeypatch.setattr(
        runs.Net, "forward", lambda self, **inputs: steps.append(1) or forward(self, **inputs)
    )
    found = made.compared(given, tmp_path)
    assert found.failures == []
    assert not steps  # the run was complete


def test_the_command_tells_of_a_full_disk_in_one_line(tmp_path, capsys):
    marker = tmp_path / "full"
    marker.touch()
    (tmp_path / "grid.yaml").write_text(
        "name: toy\ndata: {training.runs.Blobs: null}\nseeds: 1\n"
        "base: {model: training.runs.Small, trainer.max_epochs: 1, trainer.accelerator: cpu}\n"
        f"methods: {{Joint: {{method: experiments.compare.made.Fills, method.marker: {marker}}}}}\n"
    )
    out = tmp_path / "out"
    options = ["--backend=threading", "--progress=false", f"--output={out}", f"--runs={out}"]
    assert main(["compare", str(tmp_path / "grid.yaml"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    start = r"counterpoise: error: `(runs|output)` should have room for what "
    assert re.match(start, line)
