"""The files that a run leaves: its results, and everything needed to repeat it."""

from __future__ import annotations

import csv
import inspect
import io
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from counterpoise.core.class_paths import class_path
from counterpoise.core.files import plain_cell, write_atomically
from counterpoise.data.files.cache import CorruptFileError

_PLAIN = (bool, int, float, str, type(None))


def describe(value: Any) -> Any:
    """Map an object to what a configuration file would say to make it again.

    Numbers and strings stay, sequences and mappings are gone through, and an object becomes its
    class path and the arguments of its constructor, read from the attributes of the same names.
    What says the same is the same: an integer where a float is meant becomes one, and infinity,
    which JSON does not have, what YAML calls it.

    Args:
        value: A plain value, or an object that keeps the arguments it was made with as
            attributes, or has a ``settings()`` that returns them.

    Returns:
        A tree of dictionaries, lists, numbers, strings and None.

    Raises:
        TypeError: If an argument is not kept.

    Example:
        >>> from counterpoise.training import SGD
        >>> describe(SGD(learning_rate=0.5))["init_args"]["learning_rate"]
        0.5
        >>> describe({"window": (0, 5), "bound": float("inf")})
        {'window': [0, 5], 'bound': '.inf'}
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: ".inf", -math.inf: "-.inf"}.get(value, ".nan")
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): describe(inner) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [describe(entry) for entry in value]
    described: dict[str, Any] = {"class_path": class_path(type(value))}
    settings = _settings(value)
    return described | ({"init_args": settings} if settings else {})


def _settings(value: Any) -> dict[str, Any]:
    own = getattr(value, "settings", None)
    if callable(own):
        return {name: describe(setting) for name, setting in own().items()}
    settings = {}
    for name, parameter in inspect.signature(type(value)).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if not hasattr(value, name):
            raise TypeError(
                f"`{type(value).__name__}` should keep its argument `{name}` as an attribute, for "
                "the run's record; found none. Assign it in __init__, or define settings()."
            )
        settings[name] = describe(getattr(value, name))
        kind = getattr(parameter.annotation, "__name__", parameter.annotation)
        if type(settings[name]) is int and kind in ("float", "float | None"):
            settings[name] = float(settings[name])
    return settings


def versions() -> dict[str, str]:
    """Return the versions of Python and of every package that has a say in the numbers."""
    packages = ("counterpoise", "torch", "lightning", "torchmetrics", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}


def hardware(device: torch.device | None = None) -> dict[str, Any]:
    """Return what a run computed on: device, processor, its cores and the threads in use."""
    on_gpu = device is not None and device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else str(device or "cpu"),
        "processor": _processor(),
        "machine": platform.machine(),
        "num_cores": os.cpu_count(),
        "num_threads": torch.get_num_threads(),
        "system": platform.system(),
    }


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def write_json(path: Path, content: Any) -> None:
    """Write JSON, with null for numbers that are not finite, which JSON does not have."""
    text = json.dumps(finite(content), indent=1, allow_nan=False)
    write_atomically(path, text + "\n")


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return content that JSON can hold with a "digest" of itself, by which damage shows.

    Example:
        >>> sealed({"accuracy": 0.5})["digest"][:8]
        '6d40636b'
    """
    plain = {name: value for name, value in content.items() if name != "digest"}
    text = json.dumps(plain, sort_keys=True, allow_nan=False)
    return plain | {"digest": sha256(text.encode()).hexdigest()}


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what :func:`sealed` returned and :func:`write_json` wrote.

    Raises:
        CorruptFileError: If it is no JSON, or not what was written.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        whole = isinstance(content, dict) and content == sealed(content)
        problem = "one whose digest is not that of what it holds"
    except ValueError as error:  # of JSON or of UTF-8
        whole, problem = False, f"one that is not JSON ({error})"
    if not whole:
        raise CorruptFileError(
            f"`{path}` should be a file as it was written; found {problem}. Restore or remove it."
        )
    return dict(content)


def write_yaml(path: Path, content: Any) -> None:
    """Write YAML in the order of the keys."""
    write_atomically(path, yaml.safe_dump(content, sort_keys=False))


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as CSV; a column for every key in order of appearance, empty where missing."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: plain_cell(value) for name, value in row.items()} for row in rows)
    write_atomically(path, text.getvalue())


def finite(value: Any) -> Any:
    """Return plain content as JSON can hold it: with None for numbers that are not finite.

    Example:
        >>> finite({"loss": [0.5, float("nan")]})
        {'loss': [0.5, None]}
    """
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value
