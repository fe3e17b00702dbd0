"""Digits seen and heard: the data set that needs no download.

Handwritten digits from scikit-learn, paired by label with spoken digits. **The speech is
synthetic**: it comes from the eSpeak NG synthesiser, not from people.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import warnings
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from counterpoise.core.errors import check_count, check_list, check_range, check_seed
from counterpoise.core.fields import check_fields
from counterpoise.core.files import replacing
from counterpoise.data.contract import TARGET, Splits
from counterpoise.data.files.cache import CorruptFileError, cache_directory, read
from counterpoise.data.files.extras import require
from counterpoise.data.files.folders import make_folder
from counterpoise.data.source import DataSource
from counterpoise.data.tasks import Classification
from counterpoise.data.tensors import MultimodalDataset

FORMAT = 2
"""Raised whenever a build with the same options gives other data."""

_BUILD = "from counterpoise.data.digits.digits_build import main; main()"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Digits(DataSource):
    """Pairs a handwritten digit (``image``) with a spoken one (``audio``), 10 classes.

    - ``image``: shape (1, 28, 28), the 8 x 8 digits of scikit-learn with pixel noise, enlarged.
    - ``audio``: shape (1, 32, 32), the log-mel spectrogram of 0.77 s of *synthetic* speech by
      eSpeak NG in background noise (mel bands first, low to high; then time).

    Both are standardised with the mean and deviation of the training set, so that zeros, the
    usual absent value, are an average input. No image and no voice is in two splits: 1,000
    images and 32 voices to train on, 290 images and 8 voices to choose on, 507 images and 12
    voices to test on, each in six accents and at many speeds and pitches.

    The default noise shows modality competition. Two small LeNets, ten epochs of Adam, mean test
    accuracy of three seeds: the image alone reaches 0.87, the audio alone 0.80, both together
    0.92; but a linear probe of the audio encoder that was trained together reads only 0.68, since
    the image is learnt first and leaves it little to do.

    Built once, in ten to twenty seconds on one core, and kept in the user's cache; the same
    options give the same bytes in every process on a machine.

    Args:
        seed: Of the split of images, the choice of voices, speeds and pitches, and all noise.
        speech_to_noise: Lowest and highest ratio of speech to background noise, decibels of
            power; each utterance has its own between them. Lower is harder.
        image_noise: Standard deviation of the pixel noise, where ink is 1 and paper 0.
        utterances_per_image: How many spoken digits each image is paired with; each pair has
            noise of its own. More make the data set larger.
        division: Draws which of the images that are not for test are to train on and which to
            choose on; voices stay in their split. Default: as built.
        root: Where to keep the built data. Default: see
            :func:`counterpoise.data.files.cache.cache_directory`.

    Raises:
        ValueError: If a number is out of range.

    Example:
        >>> Digits(utterances_per_image=2).speech_to_noise
        (-5.0, 5.0)
    """

    name: ClassVar[str] = "digits"

    seed: int = 0
    speech_to_noise: tuple[float, float] = (-5.0, 5.0)
    image_noise: float = 0.35
    utterances_per_image: int = 5
    division: int | None = None
    root: Path | None = None

    def __post_init__(self) -> None:
        check_fields(self, "seed", "root")
        check_list("speech_to_noise", self.speech_to_noise, (int, float), "two numbers of decibels")
        object.__setattr__(self, "speech_to_noise", tuple(map(float, self.speech_to_noise)))
        if len(self.speech_to_noise) != 2 or not (
            -100 <= self.speech_to_noise[0] <= self.speech_to_noise[1] <= 100
        ):
            raise ValueError(
                "`speech_to_noise` should be a lowest and a highest ratio between -100 and 100 "
                f"decibels; found {self.speech_to_noise}. Give two numbers in order."
            )
        check_range("image_noise", self.image_noise, low=0.0)
        check_count("utterances_per_image", self.utterances_per_image, at_least=1)
        if self.division is not None:
            check_seed("division", self.division)

    @property
    def options(self) -> dict[str, Any]:
        """What the content of the built file depends on."""
        return {k: value for k, value in asdict(self).items() if k not in ("root", "division")}

    @property
    def path(self) -> Path:
        """The file that the built data is kept in; its name tells options and format."""
        key = json.dumps([FORMAT, self.options], sort_keys=True)
        digest = sha256(key.encode()).hexdigest()[:16]
        return cache_directory(self.root) / f"digits-{digest}.tensors"

    def load(self) -> Splits:
        """Read the data, building it first where it is missing or damaged.

        Raises:
            ImportError: If it must be built and the packages for it are not installed.
            OSError: If the cache cannot be written to.
            RuntimeError: If the build fails.

        Warns:
            RuntimeWarning: If the kept file is damaged and is therefore built again.
        """
        kept = None
        if self.path.exists():
            try:
                kept = read(self.path)
            except CorruptFileError as error:
                warnings.warn(f"{error} Building it again now.", RuntimeWarning, stacklevel=2)
        tensors, record = self._build() if kept is None else kept
        if self.division is not None:
            require("Dividing the digits anew", "digits", {"sklearn": "scikit-learn"})
            from counterpoise.data.digits.redivision import redivided

            built = {"seed": self.seed, "utterances_per_image": self.utterances_per_image}
            tensors = redivided(tensors, division=self.division, **built)
        return self._splits(tensors, record)

    def redivided(self, seed: int) -> Digits:
        """Return the same data with other images to train on and to choose on."""
        return replace(self, division=seed)

    def _build(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        require(
            "Building the digits data set",
            "digits",
            {"sklearn": "scikit-learn", "espeakng_loader": "espeakng-loader"},
        )
        directory = self.path.parent
        make_folder(str(directory), directory)
        _log.info("Building digits in %s: ten to twenty seconds, once.", directory)
        with replacing(self.path) as partial:
            self._build_in_fresh_process(partial)
            return read(partial)

    def _build_in_fresh_process(self, path: Path) -> None:
        # The synthesiser's state and this process's thread count, default types and back-end
        # flags all reach the bits of the result: a fresh process has none of that history.
        search = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        finished = subprocess.run(
            [sys.executable, "-c", _BUILD, json.dumps(self.options), str(path)],
            env={**os.environ, "PYTHONPATH": search},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if finished.returncode != 0:
            last = finished.stderr.strip().splitlines()[-1:] or ["no message"]
            raise RuntimeError(
                f"Building the digits data set should succeed; its process ended with "
                f"{finished.returncode}: {last[0]}"
            )

    def _splits(self, tensors: dict[str, Tensor], record: dict[str, Any]) -> Splits:
        def part(split: str) -> MultimodalDataset:
            inputs = {name: tensors[f"{split}.{name}"] for name in ("audio", "image")}
            return MultimodalDataset(inputs, tensors[f"{split}.{TARGET}"])

        versions = record["versions"]
        return Splits(
            name=self.name,
            train=part("train"),
            validation=part("validation"),
            test=part("test"),
            task=Classification(10),
            note=(
                "Handwritten digits paired by label with synthetic speech in background noise; "
                "nobody's real voice, and test voices are never heard in training."
            ),
            source=(
                f"scikit-learn {versions['scikit-learn']} load_digits (UCI optical recognition "
                f"of handwritten digits); eSpeak NG from espeakng-loader "
                f"{versions['espeakng-loader']}"
            ),
            licence="images CC BY 4.0; speech made on this machine with eSpeak NG (GPL-3 program)",
        )
