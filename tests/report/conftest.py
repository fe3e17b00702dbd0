"""Made-up records of runs, shaped and scaled like real ones."""

import math

import numpy as np
import pytest


def build_record(
    method="AGM",
    *,
    modalities=("audio", "image"),
    num_steps=541,
    num_epochs=7,
    seed=0,
    strength=1.0,
    modulated=True,
    monitored=True,
    **settings,
):
    """A record whose first modality lags behind the others, the less so the larger `strength`."""
    noise = np.random.default_rng([seed, len(modalities), *method.encode()])
    pace = np.linspace(0.15 + 0.2 * strength, 1.2, len(modalities))
    steps = np.arange(1, num_steps + 1)
    progress = steps / num_steps
    scores = {
        name: (
            0.25
            + 2.05 * np.exp(-4 * rate * progress)
            + 0.12 * noise.standard_normal(num_steps) * np.exp(-progress)
        ).tolist()
        for name, rate in zip(modalities, pace, strict=True)
    }
    drift = noise.standard_normal((len(modalities), num_steps)) * 0.35
    drift -= drift.mean(axis=0)
    coefficients = {
        name: np.exp(strength * row).tolist() for name, row in zip(modalities, drift, strict=True)
    }
    epochs = []
    for epoch in range(num_epochs):
        done = (epoch + 1) / num_epochs
        responses = {
            name: float(0.1 + 0.8 * (1 - math.exp(-3 * rate * done)) + 0.01 * noise.normal())
            for name, rate in zip(modalities, pace, strict=True)
        }
        joint = min(0.1 + 0.86 * (1 - math.exp(-5 * done)) + 0.008 * noise.normal(), 1.0)
        epochs.append(
            {
                "epoch": epoch,
                "train/loss": 2.3 * math.exp(-3 * done),
                "train/accuracy": min(joint + 0.02, 1.0),
                "validation/loss": 2.3 * math.exp(-2.6 * done),
                "validation/accuracy": joint,
                **{
                    f"validation/response/{name}/accuracy": value if monitored else None
                    for name, value in responses.items()
                },
                "seconds": 2.9,
            }
        )
    return {
        "name": f"digits-{method.lower()}-seed{seed}",
        "method": {"name": method, "settings": settings},
        "data": {
            "name": "digits",
            "fingerprint": "sha256:6f1c0d9be2",
            "note": "The speech is synthetic: it was made by a synthesiser, not spoken.",
            "modalities": list(modalities),
            "num_classes": 10,
            "sizes": {"train": 1201, "validation": 293, "test": 307},
        },
        "model": {"encoders": dict.fromkeys(modalities, "LeNet"), "fusion": "Concat", "width": 32},
        "seed": seed,
        "versions": {"python": "3.11.7", "torch": "2.13.0", "counterpoise": "0.1.0"},
        "hardware": {"machine": "x86_64", "cores": 2, "accelerator": None},
        "started": f"2026-05-17T09:{10 + seed:02}:00+00:00",
        "wall_time_seconds": 21.7,
        "seconds_per_step": 0.0113 if method == "Joint" else 0.0131,
        "best_epoch": num_epochs - 2,
        "test": {
            "loss": 0.31,
            "accuracy": 0.8925 + 0.01 * strength,
            **{
                f"response/{name}/accuracy": epochs[-1][f"validation/response/{name}/accuracy"]
                for name in modalities
            },
        },
        "epochs": epochs,
        "steps": {
            "step": steps.tolist(),
            "loss": scores[modalities[0]],
            "scores": scores if monitored else None,
            "coefficients": coefficients if modulated else None,
        },
    }


@pytest.fixture
def make_record():
    return build_record


@pytest.fixture
def two_runs():
    return [build_record("Joint", modulated=False, strength=0.0), build_record("AGM", alpha=1.0)]


@pytest.fixture
def four_runs():
    three = {"modalities": ("text", "audio", "video")}
    return [
        build_record("Joint", **three, modulated=False, monitored=False, strength=0.0),
        build_record("AGM", **three, alpha=1.0),
        build_record("AGM", **three, alpha=4.0, strength=3.0, num_steps=2311),
        build_record("OGM-GE", **three, num_steps=37, alpha=0.5),
    ]
