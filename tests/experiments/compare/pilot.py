"""A made-up comparison of the shape of a large one: several data sets, fusions, pairs, measured."""

from random import Random

import numpy as np

from experiments.compare import made

DATA = ("a", "b", "c", "d", "e")
METHODS = ("Joint", "UnimodalLoss", "AGM", "OGM")
FUSIONS = ("additive", "maxout")
STRENGTHS = dict(zip(DATA, (0.5, 0.9, 0.6, 0.8, 0.7), strict=True))
"""Of the modality that is held back most; what unimodal losses gain rises with it, by 0.2 for 1."""
NUM_TEST = 400


def gain(data, method):
    """What a method truly gains over joint training."""
    return {"UnimodalLoss": 0.2 * (STRENGTHS[data] - 0.6), "OGM": -0.06}.get(method, 0.0)


def score(cell):
    """Which of 400 test samples a run has right; what is hard is hard for all runs of the data."""
    data, fusion, method = cell.candidate[:3]
    hard = np.random.default_rng([DATA.index(data), 1]).permutation(NUM_TEST)
    key = [DATA.index(data), len(fusion), METHODS.index(method), cell.seed]
    rng = np.random.default_rng(key)
    right = hard < NUM_TEST * (0.8 + gain(data, method))
    return right ^ (rng.random(NUM_TEST) < 0.005)


def make(cell):
    right = score(cell)
    responses = {"left": 0.5, "right": 0.25}
    cost = {"Joint": 0.01, "UnimodalLoss": 0.011}.get(cell.candidate.method, 0.02)
    scales = [0.5, 1.0, 2.0] if cell.candidate.method == "AGM" else None
    record = made.record(cell, right.mean().item(), 0.9, responses, scales, seconds=cost)
    return made.result(cell, record)


def measure(cell):
    """The left modality knows more and is held back less; under OGM both are held back less."""
    data, _, method = cell.candidate[:3]
    noise = 0.01 * Random(repr((cell.label,))).uniform(-1, 1)
    less = 0.1 if method == "OGM" else 0.0
    strong = 0.3 if data != "e" else STRENGTHS[data] + 0.2
    return {
        "strength": {"left": strong - less + noise, "right": STRENGTHS[data] - less - noise},
        "varying": {"left": 1.0, "right": 1.0},
        "alone": {"left": 0.75 + noise, "right": 0.6 - noise},
        "probe": {"left": 0.7, "right": 0.5},
        "contribution": {"left": 0.4 + less + noise, "right": 0.3 - less},
        "robustness": [0.9 - 0.05 * k for k in range(11)],
    }


def compared(path=None, *, data=DATA, scored=True, **changes):
    """The comparison; ``scored`` says whether predictions were kept."""
    layer = {"data": "training.runs.Blobs", "model": "Network"}
    given = {
        "data": {name: {**layer, "batch_size": 31 + k} for k, name in enumerate(data)},
        "methods": dict.fromkeys(METHODS),
        "fusions": list(FUSIONS),
        "pairs": [["AGM", "UnimodalLoss"], ["OGM", "UnimodalLoss"], ["OGM", "AGM"]],
        "seeds": 5,
        "base": {},
        "name": "pilot",
    }
    score_of = score if scored else None
    return made.comparison(made.grid(**(given | changes)), path, make, measure, score_of)
