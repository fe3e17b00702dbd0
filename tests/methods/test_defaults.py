"""The settings that methods run at when nothing is said: another number is another experiment."""

import inspect
from operator import attrgetter

import pytest
import torch

import counterpoise as cp

DEFAULTS = {
    "AGM": {"alpha": 1.0},
    "ARL": {"gamma": 4.0, "temperature": 8.0},
    "CGGM": {"rho": 1.3, "direction": 0.2, "clamp": 2.0, "every": 1},
    "CML": {"weight": 0.1},
    "DGL": {"alpha": 4.0},
    "GBlend": {"super_epoch": 10, "later": 5, "least_overfitting": 0.01},
    "InfoReg": {"strength": 0.95, "threshold": 0.05, "window": 10, "weight": 1.0},
    "LFM": {"start": 0.5, "rate": 0.01},
    "MCR": {"weight": 0.1, "temperature": 0.5},
    "MLB": {"alpha": 2.0, "beta_max": 2.0, "weight": 1.0},
    "MMPareto": {"gamma": 1.5, "weight": 1.0},
    "MSES": {"patience": 10, "smoothing": 0.6, "weights": 0.0},
    "MSLR": {"window": 5, "shift": 0.5, "clamp": 10.0},
    "OGM": {"alpha": 0.5, "convolutions_only": False},
    "OGMGE": {"alpha": 0.5, "convolutions_only": False},
    "OPM": {"probability": 0.5, "strength": 0.5},
    "PMR": {"alpha": 1.0, "momentum": 0.2, "entropy": 0.01, "entropy_epochs": 5},
    "ReconBoost": {"stage": 4, "weight": 5.0},
    "Relearning": {"every": 20, "times": 3, "strength": 3.0, "seed": 0},
    "Remix": {"warm_up": 10, "weight": 0.5},
    "UMT": {"weight": 10.0},
    "scores.BinaryCrossEntropy": {"floor": 1e-8},
    "scores.CrossEntropy": {"floor": 1e-8, "ignore_index": -100},
    "references.ExponentialAverage": {"decay": 0.99},
    "references.Fixed": {"num_steps": 1},
    "absence.Noise": {"std": 1.0, "mean": 0.0},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_numbers_that_are_not_given(name):
    make = attrgetter(name)(cp)
    parameters = inspect.signature(make).parameters.values()
    found = {p.name: p.default for p in parameters if isinstance(p.default, (int, float))}
    assert found == DEFAULTS[name]
    kept = vars(make())
    assert {key: kept.get(key, number) for key, number in found.items()} == found


STATES = {
    "AGM": "bounded_steps nonfinite_steps num_steps reference.num_steps reference.scores",
    "CGGM": "accuracies balance num_summed shift sums sums_shift",
    "GBlend": "blend checkpoint checkpoint_epoch loss_sums num_measured num_samples",
    "InfoReg": "history num_epochs prime start_epoch trace",
    "LFM": "difference weight",
    "MSES": "best best_epoch previous stopped",
    "MSLR": "history num_epochs ratio",
    "OPM": "probabilities",
    "PMR": "bank.counts bank.prototypes0 bank.prototypes1 bank.renewed bank.seen bank.sums0 "
    "bank.sums1",
    "ReconBoost": "boost",
    "Relearning": "gaps num_relearned",
    "UnimodalLoss": "",
}


@pytest.mark.parametrize("name", STATES)
def test_what_a_checkpoint_holds_of_a_method(name):
    method = getattr(cp, name)()
    method.bind(("ear", "eye"), torch.float64)
    assert sorted(method.state_dict()) == STATES[name].split()
