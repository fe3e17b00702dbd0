"""The options with which AV-MNIST is built, and the two presets."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from counterpoise.core.errors import check_choice, check_count, check_range

RECORD = "av-mnist.json"
"""The file beside the arrays that says how they were made."""

_SPEAKER = "yweweler"


@dataclass(frozen=True)
class Options:
    """What the content of AV-MNIST depends on, besides the originals.

    Args:
        components: Principal components of the images that are kept, 1 to 784. 4, the default,
            leave the image about 0.65 accuracy alone; 3 about 0.54, 5 about 0.76.
        noise_level: How much louder the background noise is than the speech, decibels of power;
            None: no noise.
        split: ``"recordings"``: of every speaker, recordings 0 to 39 are for training and
            validation, 40 and on for test. ``"speaker"``: all of one speaker are for test.
        speaker: The speaker held out, where ``split`` is ``"speaker"``; without effect else.
        validation_speaker: Another one, heard in validation only, so that validation tells how an
            unknown voice fares; training then has one voice less. Default: validation has other
            recordings of the training voices.
        num_validation: How many pairs at the end of the training files are for validation; they
            have recordings of their own. Default: a twelfth, 5,000 of 60,000.
        size: Rows and columns of a spectrogram, at least 8.
        dtype: ``"uint8"`` or ``"float32"``, four times as large.
        seed: Of the order of recordings and of all noise.

    Raises:
        ValueError: If an option is out of range, or another speaker than the default is named
            and none held out.

    Example:
        >>> Options(noise_level=None, split="speaker").speaker
        'yweweler'
    """

    components: int = 4
    noise_level: float | None = 14.0
    split: Literal["recordings", "speaker"] = "recordings"
    speaker: str = _SPEAKER
    validation_speaker: str | None = None
    num_validation: int | None = None
    size: int = 112
    dtype: Literal["uint8", "float32"] = "uint8"
    seed: int = 0

    def __post_init__(self) -> None:
        check_count("components", self.components, at_least=1)
        check_range("components", self.components, low=1, high=784)
        if self.noise_level is not None:
            check_range("noise_level", self.noise_level, low=-100, high=100)
        check_choice("split", self.split, ("recordings", "speaker"))
        if self.speaker != _SPEAKER:
            check_speaker_is_held_out(self.speaker, self.split)
        if self.split == "speaker" and self.speaker == self.validation_speaker:
            raise ValueError(
                f"`validation_speaker` should be another than `speaker`; found {self.speaker!r} "
                "for both. Choose another."
            )
        if self.num_validation is not None:
            check_count("num_validation", self.num_validation, at_least=1)
        check_count("size", self.size, at_least=8)
        check_choice("dtype", self.dtype, ("uint8", "float32"))

    @property
    def preset(self) -> str | None:
        """The preset that the options are, whatever seed, number for validation and type."""
        free = {key: getattr(self, key) for key in ("num_validation", "dtype", "seed")}
        return next((n for n, preset in PRESETS.items() if replace(preset, **free) == self), None)


def check_speaker_is_held_out(speaker: str, split: str) -> None:
    """Raise unless the split is one that a speaker's name has an effect on.

    Raises:
        ValueError: If it is not.
    """
    if split != "speaker":
        raise ValueError(
            f"`speaker` should be named where `split` is 'speaker'; found {speaker!r} and "
            f"{split!r}. Pass --split speaker (in Python, split='speaker') to keep that voice for "
            "the test, or leave `speaker` out."
        )


PRESETS = {
    "published": Options(),
    "clean": Options(noise_level=None, split="speaker"),
}
"""``"published"``: loud noise, as in the field. ``"clean"``: no noise, an unknown speaker."""
