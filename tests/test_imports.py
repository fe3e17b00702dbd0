"""Heavy packages come when something that needs them is asked for, and not before."""

import json
import subprocess
import sys

import pytest

FORMATS = {"PIL", "av", "h5py", "soxr", "soundfile", "torchvision", "torchaudio", "timm"}
TRAINING = {"lightning", "pytorch_lightning", "torchmetrics", "tensorboard", "jsonargparse"}
DRAWING = {"altair", "vl_convert", "pandas", "rich"}
HEAVY = {"sklearn", "scipy", "espeakng_loader", "ray", "dask", *FORMATS, *TRAINING, *DRAWING}
HELP = "try: main(['train', '--help'])\nexcept SystemExit: pass"
# One after the other in one process: what each may import, the next may, too.
STEPS = {
    "the package": ("import counterpoise", HEAVY),
    "measures": (
        "from counterpoise.measures import contributions, coalition_logits, extract_features, "
        "UnimodalModel, UnimodalNetwork, Batches",
        HEAVY,
    ),
    "data sets": ("import counterpoise.data", HEAVY),
    "help": ("from counterpoise.cli.main import main; main(['--help'])", HEAVY),
    "help on training": (HELP, HEAVY - {"jsonargparse"}),
    "reports": ("import counterpoise.report", {"altair", "vl_convert"}),
    "comparisons": ("import counterpoise.experiments.compare.run", {"ray", "dask"}),
}


@pytest.fixture(scope="module")
def loaded():
    """Modules that are there after each step, beyond those that PyTorch brings along itself."""
    lines = ["import contextlib, io, json, sys, torch", "before, found = set(sys.modules), {}"]
    for name, (step, _) in STEPS.items():
        lines += ["with contextlib.redirect_stdout(io.StringIO()):"]
        lines += [f"    {line}" for line in step.splitlines()]
        lines += [f"found[{name!r}] = sorted(set(sys.modules) - before)"]
    code = "\n".join([*lines, "print(json.dumps(found))"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("step", STEPS)
def test_nothing_is_imported_before_it_is_needed(step, loaded):
    tops = {name.partition(".")[0] for name in loaded[step]}
    assert "counterpoise" in tops
    assert tops.isdisjoint(STEPS[step][1])


def test_only_the_core_of_the_package_is_imported_with_it(loaded):
    rooms = {
        name.split(".")[1] for name in loaded["the package"] if name.startswith("counterpoise.")
    }
    upper = {"models", "data", "training", "report", "measures", "experiments", "cli"}
    assert rooms.isdisjoint(upper)


def test_the_compiler_is_not_imported_with_the_package(loaded):
    """It takes longer to import than all the rest."""
    assert not any(name.startswith("torch._dynamo") for name in loaded["the package"])
