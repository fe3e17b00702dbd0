"""Installs the package into empty environments, bare and with each extra alone, and tries it.

``python tests/installing.py [EXTRA ...]``. Environments of extras find PyTorch, which weighs most,
in the bare one; everything else of an extra is installed into its own.
"""

import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]

BARE = """
import sys, counterpoise as cp
light = {"torch", "counterpoise"}
heavy = {"lightning", "sklearn", "scipy", "altair", "jinja2", "rich", "transformers", "pandas"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from torch import nn
balanced = cp.Balanced(nn.Bilinear(3, 5, 2), ("input1", "input2"), cp.AGM())
"""
RUN = """
import tempfile
from counterpoise.cli import main
words = ["train", "--data", "Synthetic", "--data.num_train", "59", "--trainer.max_epochs", "1",
         "--trainer.accelerator", "cpu", "--no-progress", "--output", tempfile.mkdtemp()]
assert main(words) == 0
"""
PROBES = {
    "train": RUN,
    "digits": 'from counterpoise.data import load; assert load("digits").train is not None',
    "crema-d": "import counterpoise.data.crema_d, counterpoise.data.clips, av, soundfile, soxr",
    "ave": "import counterpoise.data.ave, h5py",
    "loggers": RUN.replace('"--no-progress"', '"--no-progress", "--loggers=[MLFlowLogger]"')
    + "import wandb",
    "ray": RUN + "import ray",
    "dask": RUN + "import distributed",
    "huggingface": "from counterpoise.integrations import BalancedTrainer",
    "docs": "import sphinx, furo, myst_parser",
}


def environment(folder, extra="", below=None):
    """Make an environment with the package; return its Python and its folder of packages."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    packages = next((folder / "lib").glob("python3*")) / "site-packages"
    if below is not None:
        (packages / "below.pth").write_text(f"{below}\n")
    what = f"{ROOT}[{extra}]" if extra else str(ROOT)
    pip = [str(python), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"), what]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{extra or 'bare'}: {done.stderr}")
    return python, packages


def tried(python, probe):
    """Run a probe outside the repository; return what went wrong, if anything."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [python, "-W", "ignore", "-c", probe], capture_output=True, text=True, cwd=folder
        )
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def main():
    """Print a line for each environment."""
    extras = sys.argv[1:] or list(PROBES)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        python, packages = environment(Path(folder) / "bare")
        for extra, probe in [("", BARE), *((name, PROBES[name]) for name in extras)]:
            if extra:
                start = time.monotonic()
                python, _ = environment(Path(folder) / extra, extra, packages)
            trouble = tried(python, probe)
            failed = failed or bool(trouble)
            took = f"{time.monotonic() - start:.0f} s"
            print(f"{extra or 'bare':12} {took:>6}  {trouble or 'works'}", flush=True)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
