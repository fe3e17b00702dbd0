"""The experiments of parity.py, by whichever code Python finds: their numbers, written to files.

    PYTHONPATH=<checkout>/src python benchmarks/parity_runs.py before|after FOLDER [EXPERIMENT ...]

"before" the files were moved, other names and defaults held. Grids, recipe and studies are written
down once, in words that both understand, and "after" the old rule is named wherever a default has
changed by design: AFTER, PUBLISHED, and parity_methods.py. Numbers go by present names.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.training import Architecture

__all__ = ["CONTROLS", "EXPERIMENTS", "Normalised"]

AFTER: dict[str, Any] = {"base": {"coalitions": "published"}, "redraw": False}
"""Level features, by running statistics of batch-norm, and one division of the data for all seeds:
what was the default."""

PUBLISHED = {"method": "AGM", "method.clamp": 10.0}
"""Without a bound: an explicit clamp asks for that now, and 10 was the default."""

METHODS: dict[str, dict[str, Any]] = {
    "Joint": {},
    "AGM": {**PUBLISHED, "method.alpha": 2.5},
    "OGM": {},
    "OGM-GE": {"method": "OGMGE"},
    "MSES": {"method.patience": 1},
    "MSLR": {"method.window": 2},
    "UnimodalLoss": {},
    "GBlend": {"method.super_epoch": 1},
    "OPM": {},
    "PMR": {},
    "MLB": {},
    "MMPareto": {},
    "CGGM": {},
}

VARIANTS: dict[str, dict[str, Any]] = {
    "Joint": {"monitor": True},
    "AGM, level inputs": {**PUBLISHED, "coalitions": "inputs"},
    "AGM, level shared": {**PUBLISHED, "coalitions": "shared"},
    "AGM, leave one out": {**PUBLISHED, "attribution": "leave_one_out"},
    "AGM, alone": {**PUBLISHED, "attribution": "alone"},
    "AGM, sampled": {**PUBLISHED, "num_passes": 10},
    "AGM, absent means noise": {**PUBLISHED, "absent": "Noise"},
    "UnimodalLoss, own heads": {"method": "UnimodalLoss", "method.heads": "linear"},
    "UnimodalLoss, level shared": {"method": "UnimodalLoss", "coalitions": "shared"},
}

_SIZES = {"num_train": 256, "num_validation": 200, "num_test": 300}
_SHARES = {"unique": [0.5, 0.3, 0.1], "redundancy": 0.0, "synergy": 0.0}
_TRAINER = {"log_every_n_steps": 1, "accelerator": "cpu", "num_threads": 1}
_TRAINER |= {"gradient_clip_val": 5.0}
_HERE = {"backend": "threading", "jobs": 1}  # one run after another, in this process


def _grid(
    methods: Mapping[str, Any], *fusions: str, data: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """Return a grid of MLPs on synthetic data, one seed, four steps in each of three epochs."""
    base = {
        "model.encoder": "mlp",
        "trainer": {**_TRAINER, "max_epochs": 3},
        "optimizer.learning_rate": 0.05,
    }
    source = {"class_path": "Synthetic", "init_args": {**_SIZES, **(data or {})}}
    kept = {"data": {"synthetic": {"data": source}}, "methods": dict(methods), "base": base}
    return {**kept, "fusions": [*fusions] or None, "seeds": 1, "competition": bool(fusions), **more}


class Normalised(Architecture):
    """Builds MLPs with batch-norm in the encoders and behind the fusion."""

    def build(self, splits: Any) -> nn.Module:
        """Return the network."""
        return _Normalised(splits.sample_shapes)

    def encoder_paths(self, model: nn.Module) -> dict[str, str]:
        """Return the path of each encoder."""
        return {name: f"encoders.{name}" for name in model.get_submodule("encoders")._modules}


class _Normalised(nn.Module):
    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        encoders = {
            name: nn.Sequential(nn.Linear(size, 32), nn.BatchNorm1d(32), nn.ReLU())
            for name, (size,) in shapes.items()
        }
        self.encoders = nn.ModuleDict(encoders)
        joint = 32 * len(encoders)
        self.head = nn.Sequential(nn.BatchNorm1d(joint), nn.Linear(joint, 5))

    def forward(self, **inputs: Tensor) -> Tensor:
        features = [encoder(inputs[name]) for name, encoder in self.encoders.items()]
        logits: Tensor = self.head(torch.cat(features, dim=1))
        return logits


_NORMALISED = _grid(METHODS)
_NORMALISED["base"] = {
    **{key: value for key, value in _NORMALISED["base"].items() if key != "model.encoder"},
    "model": "parity_runs.Normalised",
}

GRIDS: dict[str, dict[str, Any]] = {
    "two modalities": _grid(METHODS, "additive", "concatenation"),
    "three modalities": _grid(METHODS, "maxout", data=_SHARES),
    "batch-norm": _NORMALISED,
    "variants": _grid(VARIANTS, "film", data=_SHARES),
}

_TWO = {"Joint": {}, "AGM": PUBLISHED}
CONTROLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "control: bound": ({**_grid({"Joint": {}, "AGM": {"method.alpha": 2.5}})}, AFTER),
    "control: statistics": (
        {**_NORMALISED, "methods": _TWO},
        {**AFTER, "base": {"coalitions": "features"}},
    ),
    "control: division": (_grid(_TWO), {**AFTER, "redraw": True}),
    "control: unimodal logits": (_grid({"Joint": {}, "OGM": {}}, "concatenation"), AFTER),
}
"""Grids for which "after" leaves one present default in place."""

_SHORT = {"num_seeds": 2, "num_train": 256, "max_epochs": 2}
STUDIES: dict[str, dict[str, Any]] = {
    "responses": _SHORT,
    "reliance": _SHORT,
    "shifts": {**_SHORT, "max_epochs": 6},
    "initialisations": {"num_seeds": 3, "max_epochs": 2},
    "fusions": {"num_seeds": 2, "max_epochs": 2},
    "agreement": {**_SHORT, "num_seeds": 3},
    "attributions": _SHORT,
    "references": {"num_seeds": 2, "max_epochs": 8},  # 128 steps: an average forgets from 100 on
    "scores": _SHORT,
}

Row = tuple[str, str, str, int, dict[str, Any]]  # experiment, place, label, seed, numbers by name


def _compared(name: str, folder: Path, *, before: bool) -> Iterator[Row]:
    """Yield the numbers of every run of a comparison, and of what was measured on it."""
    grid, after = CONTROLS.get(name) or (GRIDS[name], AFTER)
    if not before:
        grid = {**grid, **after, "base": grid["base"] | after["base"]}
    room = import_module("counterpoise.compare" if before else "counterpoise.experiments.compare")
    kept = {} if before else {"runs": folder / "runs"}
    for fusion in grid["fusions"] or [""]:
        one = {**grid, "fusions": [fusion] if fusion else None}
        if not before and name not in CONTROLS:
            one["methods"] = _old_methods(grid["methods"], heads=fusion == "additive")
        place = folder / (fusion or name)
        comparison = room.compare(room.Grid(**one), place, progress=False, **_HERE, **kept)
        assert not comparison.failures, comparison.failures[0].traceback
        for outcome in comparison.outcomes:
            for seed, result in outcome.chosen.results.items():
                measured = comparison.measured.get(result.key)
                numbers = _flat(result.record) | _measured(measured.record if measured else {})
                yield name, fusion, outcome.place[2], seed, numbers


def _old_methods(methods: Mapping[str, Any], *, heads: bool) -> dict[str, Any]:
    """Return the layers with the methods of parity_methods.py where there are such."""
    known = import_module("parity_methods").__all__
    changed = {}
    for label, layer in methods.items():
        kind = "Sampled" if "num_passes" in layer else layer.get("method", label)
        old = f"Old{kind}{'WithHeads' if heads else ''}"
        changed[label] = {**layer, "method": f"parity_methods.{old}" if old in known else kind}
    return changed


def _competed(folder: Path, *, before: bool) -> Iterator[Row]:
    """Yield the numbers of the protocol of competition, and a digest of each model's weights."""
    room = "counterpoise.competition" if before else "counterpoise.experiments.compete"
    training, data = import_module("counterpoise.training"), import_module("counterpoise.data")
    methods = import_module("counterpoise.methods")
    for encoder, fusion in (("lenet", "maxout"), ("resnet8", "additive")):
        recipe = training.Recipe(
            data.Digits(utterances_per_image=1),
            model=training.Network(encoder, fusion=fusion),
            optimizer=training.SGD(learning_rate=0.05),
            trainer=training.TrainerOptions(max_epochs=1, **_TRAINER),
            **({} if before else AFTER["base"]),
        )
        place, setting = folder / fusion, f"{encoder}, {fusion}"
        competition = import_module(room).compete(
            recipe,
            [methods.Joint(), methods.AGM(1.0, clamp=10.0)],
            num_seeds=1,
            **({"output": place, "num_workers": 1} if before else {"runs": place, **_HERE}),
        )
        for outcome in competition.outcomes:
            yield "compete", setting, outcome.method, outcome.seed, _measured(vars(outcome))
        for record, digest in _weights(place):
            alone = record["model"]["settings"].get("modality", record["method"]["name"])
            yield "compete", setting, f"{alone}, weights", 0, {**_flat(record), "weights": digest}


def _weights(folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield the record of every run whose model was kept, and a digest of the model's weights."""
    for path in folder.glob("**/checkpoints/best.ckpt"):
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
        digest = sha256()
        for key in sorted(key for key in state if key.startswith("balanced.model.")):
            digest.update(key.encode() + state[key].numpy().tobytes())
        yield json.loads((path.parents[1] / "record.json").read_text("utf-8")), digest.hexdigest()


def _studied(name: str, folder: Path, *, before: bool) -> Iterator[Row]:
    """Yield what a study measures in each condition."""
    room = import_module("counterpoise.studies" if before else "counterpoise.experiments.study")
    kind = room.study_class(name)
    data = import_module("counterpoise.data").Digits(utterances_per_image=1)
    real = {"data": data} if hasattr(kind, "data") else {}
    if not before:
        kind = import_module("parity_methods").published(kind, AFTER["base"])
    study = kind(**STUDIES[name], **real)
    shared = folder.parent / "studies"  # by all of them, some of which make the same runs
    seen = room.observe(study, shared, **({"num_workers": 1} if before else _HERE))
    for condition, measured in seen.measured.items():
        for seed, values in enumerate(measured):
            yield f"study {name}", ", ".join(condition[:-1]), condition[-1], seed, _flat(values)


_DESCRIBED = re.compile(r"settings|versions|hardware|started|(\w+_)?seconds(_\w+)?")
"""Keys of a record of what is not computed from the data."""


def _flat(value: Any, *path: str) -> dict[str, Any]:
    """Return the numbers of a tree by their paths, in present names, and fingerprints of data.

    Example:
        >>> _flat({"epochs": [{"validation_response_accuracy": {"m1": 0.5}, "seconds": 3.0}]})
        {'epochs/0/validation/response/m1/accuracy': 0.5}
    """
    if isinstance(value, Mapping):
        parts = {str(k): part for k, part in value.items() if not _DESCRIBED.fullmatch(str(k))}
    elif isinstance(value, (list, tuple)):
        parts = {str(index): part for index, part in enumerate(value)}
    elif isinstance(value, str) and path[-1] != "fingerprint":
        return {}
    else:
        name = re.sub(r"\b(train|validation)_(?=loss|accuracy|response)", r"\1/", "/".join(path))
        return {re.sub(r"\bresponse_accuracy/(\w+)", r"response/\1/accuracy", name): value}
    flat: dict[str, Any] = {}
    for key, part in parts.items():
        flat |= _flat(part, *path, key)
    return flat


def _measured(outcome: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers of a measurement of competition, which called "joint" accuracy."""
    return _flat({"joint" if key == "accuracy" else key: part for key, part in outcome.items()})


EXPERIMENTS: dict[str, Callable[..., Iterator[Row]]] = {
    **{name: partial(_compared, name) for name in (*GRIDS, *CONTROLS)},
    **{f"study {name}": partial(_studied, name) for name in STUDIES},
    "compete": _competed,
}


def main() -> None:
    side, folder = sys.argv[1], Path(sys.argv[2]).absolute()
    warnings.simplefilter("ignore")  # of published statistics with batch-norm, among others
    torch.set_num_threads(1)
    for name in sys.argv[3:] or EXPERIMENTS:
        file = folder / f"{name}.json"
        if not file.exists():
            rows = [*EXPERIMENTS[name](folder / name, before=side == "before")]
            file.write_text(json.dumps(rows), "utf-8")
            print(f"{side}: {name}", flush=True)


if __name__ == "__main__":
    main()
