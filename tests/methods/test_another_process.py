"""Wrapped models that are saved whole go on in a process in which nothing was ever wrapped."""

import subprocess
import sys

import pytest
import torch

import counterpoise as cp
from counterpoise.models import build

SKIPPED = {"Method", "MLA", "ReconBoost", "Remix", "UMT"}  # steps, rates or teachers beside a call
METHODS = sorted(
    name
    for name in cp.__all__
    if isinstance(kind := getattr(cp, name), type)
    and issubclass(kind, cp.Method)
    and name not in {*SKIPPED, "Chain", "Windowed"}
)
GO_ON = """
import sys, torch
name_to_saved = torch.load(sys.argv[1], weights_only=False)
losses = {}
for name, (balanced, batch) in name_to_saved.items():
    torch.manual_seed(1)
    out = balanced(**batch)
    out.loss.backward()
    losses[name] = out.loss.item()
torch.save(losses, sys.argv[2])
"""


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_saved_model_takes_the_same_step_in_another_process(tmp_path):
    saved = {}
    for name in METHODS:
        torch.manual_seed(0)
        model = build({"left": (3,), "right": (5,)}, num_classes=2)
        balanced = cp.Balanced(model, model.encoder_paths, getattr(cp, name)())
        batch = {"left": torch.randn(7, 3), "right": torch.randn(7, 5)}
        batch["target"] = torch.tensor([0, 1, 1, 0, 1, 0, 0])
        balanced(**batch).loss.backward()
        saved[name] = (balanced, batch)
    torch.save(saved, tmp_path / "saved.pt")
    command = [sys.executable, "-W", "ignore", "-c", GO_ON, "saved.pt", "losses.pt"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    losses = torch.load(tmp_path / "losses.pt")
    for name, (balanced, batch) in torch.load(tmp_path / "saved.pt", weights_only=False).items():
        torch.manual_seed(1)  # some methods draw: what to drop, what to mix
        assert losses[name] == pytest.approx(balanced(**batch).loss.item(), rel=1e-6), name
    assert len(losses) > 15
