"""The predictions of a run for each test sample, kept so that intervals can cover samples too."""

from __future__ import annotations

from hashlib import sha256
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from counterpoise.core.files import replacing
from counterpoise.data.files.cache import CorruptFileError
from counterpoise.data.files.fingerprints import update_with_tensor
from counterpoise.data.files.npz import read_npz
from counterpoise.data.tasks import Task

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREDICTIONS = "predictions.npz"
"""Name of the file in the folder of a run."""


class Predictions:
    """Gathers predictions batch by batch, on the device, without waiting for it.

    Args:
        task: What was learnt. Where there are classes, the most probable one is kept of each
            sample or segment, else the outputs as they are; and beside it, as "value", the
            headline metric of each sample, if that of the data set is their mean.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._batches: dict[str, list[Tensor]] = {}

    def update(self, outputs: Tensor, target: Tensor) -> None:
        """Add a batch: outputs (B, ...) and targets (B, ...)."""
        outputs = outputs.detach()
        self._add("prediction", self._predicted(outputs))
        values = self.task.sample_values(outputs, target)
        if values is not None:
            self._add("value", values)

    def write(self, path: Path) -> dict[str, Any] | None:
        """Write what was gathered; return what a record says of it, None if there is nothing."""
        arrays = {name: _joined(parts).cpu() for name, parts in self._batches.items()}
        if not arrays:
            return None
        with replacing(path) as partial, partial.open("wb") as file:
            named: dict[str, Any] = {name: tensor.numpy() for name, tensor in arrays.items()}
            np.savez_compressed(file, **named)
        return {"num_samples": len(arrays["prediction"]), "digest": _digest(arrays)}

    def _predicted(self, outputs: Tensor) -> Tensor:
        if not self.task.has_classes:
            return outputs.float()
        kind = torch.int16 if self.task.num_outputs < 2**15 else torch.int32
        return outputs.argmax(dim=1).to(kind)

    def _add(self, name: str, values: Tensor) -> None:
        self._batches.setdefault(name, []).append(values)


def read_predictions(path: Path, digest: str) -> dict[str, NDArray[Any]]:
    """Read what :meth:`Predictions.write` wrote.

    Args:
        path: The file.
        digest: Of the content, as the run's record says.

    Returns:
        "prediction", of shape (N, ...), and, where the headline metric is a mean over samples,
        "value" (N,), in the order of the test samples. Where batches differ in length, -1 follows
        the classes of shorter ones.

    Raises:
        CorruptFileError: If it is gone, or not what was written.
    """
    try:
        arrays = read_npz(path)
        whole = _digest({k: torch.from_numpy(v) for k, v in arrays.items()}) == digest
        problem = "others"
    except (OSError, ValueError) as error:
        whole, problem = False, f"none that can be read ({type(error).__name__}: {error})"
    if not whole:
        raise CorruptFileError(
            f"`{path}` should hold the predictions that the run made; found {problem}. "
            "Make the run again."
        )
    return arrays


def _joined(parts: list[Tensor]) -> Tensor:
    """Return batches as one, each filled up to the largest sizes beyond the first dimension."""
    sizes = [max(each) for each in zip(*(part.shape[1:] for part in parts), strict=True)]
    fill = nan if parts[0].is_floating_point() else -1
    whole = parts[0].new_full((sum(map(len, parts)), *sizes), fill)
    start = 0
    for part in parts:
        place = (slice(start, start + len(part)), *map(slice, part.shape[1:]))
        whole[place] = part
        start += len(part)
    return whole


def _digest(arrays: dict[str, Tensor]) -> str:
    digest = sha256()
    for name in sorted(arrays):
        update_with_tensor(digest, name, arrays[name])
    return digest.hexdigest()
