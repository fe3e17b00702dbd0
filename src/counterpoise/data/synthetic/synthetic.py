"""A data set whose modalities contribute what its parameters say, with the truth in nats.

Labels and symbols follow :mod:`counterpoise.data.synthetic.symbols`. Each modality shows its symbol
as a codeword in a random direction (that of nothing is zeros) plus Gaussian feature noise that is
small against the distance of codewords, so that the truth of the symbols is that of the features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor

from counterpoise.core.errors import check_count, check_list, check_names, check_range, check_seed
from counterpoise.data.contract import TARGET, Splits
from counterpoise.data.files.streams import stream
from counterpoise.data.source import DataSource
from counterpoise.data.synthetic.symbols import SymbolModel, check_shares
from counterpoise.data.synthetic.truth import Truth, enumerate_truth
from counterpoise.data.tasks import Classification
from counterpoise.data.tensors import MultimodalDataset

CONFUSION_LIMIT = 1e-4
"""The highest probability of reading one symbol for another at which the truth is claimed."""


@dataclass(frozen=True)
class Shift:
    """The strengths that hold at an epoch; between two shifts they change linearly.

    Args:
        epoch: When, counted from 0; at least 1, since the start is :class:`Synthetic`'s own.
        unique: As in :class:`Synthetic`.
        redundancy: As in :class:`Synthetic`.
        synergy: As in :class:`Synthetic`.

    Raises:
        ValueError: If the epoch is below 1 or the shares are no shares.
    """

    epoch: int
    unique: tuple[float, ...]
    redundancy: float = 0.0
    synergy: float = 0.0

    def __post_init__(self) -> None:
        check_list("unique", self.unique, (int, float), "a share for each modality")
        object.__setattr__(self, "unique", tuple(self.unique))
        check_count("epoch", self.epoch, at_least=1)
        check_shares(self.unique, self.redundancy, self.synergy)


@dataclass(frozen=True)
class Synthetic(DataSource):
    """Data of known contributions: how much each modality knows of the label is a parameter.

    A share w of the samples carries w log K nats. Without noise, with v(S) = I(Y; X_S),
    v(S) = log K (sum over m in S of unique_m + redundancy [S not empty] + synergy [S all]), so
    the contribution (Shapley value) of m is log K (unique_m + (redundancy + synergy) / M).
    In general, noise or not: v(none) = 0; v never falls when a modality joins; contributions
    sum to v(all) and are permuted with the modalities. Where all noise is alike, redundancy
    alone and synergy alone are shared equally, and with synergy alone no modality, nor any
    M - 1 of them, knows anything.

    Args:
        unique: For each of M >= 2 modalities, the share of samples whose class it alone shows.
        redundancy: The share of samples whose class every modality shows.
        synergy: The share of samples whose class is the sum, modulo K, of what the modalities
            show. What the shares leave of 1 are samples of which nothing can be known.
        num_classes: K, at least 2; labels are uniform.
        noise: The probability that a modality shows a random class instead, in [0, 1]; one
            number for all or one each. Contributions then fall, as the truth says.
        feature_noise: Standard deviation of the Gaussian noise on features. More makes
            learning slower; refused where it would hide symbols, since the truth of the
            features would no longer be known.
        num_features: Features of each modality, at least 2 K, so that codewords can be
            orthogonal; their entries have mean square 1.
        num_train: Samples to learn from.
        num_validation: Samples to choose on.
        num_test: Samples to judge on.
        modalities: Names. Default: m1, m2, ...
        shifts: Strengths at later epochs, in order of epochs. Training data moves linearly
            from one to the next and stays at the last; validation and test data are of the
            last throughout.
        seed: Of codewords and samples. The same labels are drawn for any strengths.
        division: Draws other samples to train on and to validate on, with the same codewords and
            the same test samples. Default: those of ``seed`` alone.

    Raises:
        ValueError: If a number is out of range, the shares sum to more than 1, lengths differ,
            shifts are out of order, or feature noise hides symbols.

    Example:
        >>> source = Synthetic(unique=(0.5, 0.1), redundancy=0.2, synergy=0.1, num_classes=5)
        >>> source.truth().contributions / math.log(5)
        tensor([0.6500, 0.2500], dtype=torch.float64)
        >>> source.load().train[0]["m1"].shape
        torch.Size([32])
    """

    name: ClassVar[str] = "synthetic"

    unique: tuple[float, ...] = (0.5, 0.1)
    redundancy: float = 0.2
    synergy: float = 0.1
    num_classes: int = 5
    noise: float | tuple[float, ...] = 0.0
    feature_noise: float = 0.3
    num_features: int = 32
    num_train: int = 4000
    num_validation: int = 1000
    num_test: int = 2000
    modalities: tuple[str, ...] = ()
    shifts: tuple[Shift, ...] = ()
    seed: int = 0
    division: int | None = None

    def __post_init__(self) -> None:
        check_list("unique", self.unique, (int, float), "a share for each modality")
        check_list("shifts", self.shifts, Shift, "a list of Shift(...)")
        check_names("modalities", self.modalities, at_least=0)
        check_seed("seed", self.seed)
        for field in ("unique", "modalities", "shifts"):  # lists from a configuration file
            object.__setattr__(self, field, tuple(getattr(self, field)))
        M = len(self.unique)
        noise = self.noise if isinstance(self.noise, (tuple, list)) else (self.noise,) * M
        object.__setattr__(self, "noise", tuple(noise))
        if not self.modalities:
            object.__setattr__(self, "modalities", tuple(f"m{m + 1}" for m in range(M)))
        if self.division is not None:
            check_seed("division", self.division)
        self._check_shifts()
        self._symbols(0)  # checks the strengths
        if len(self.modalities) != M or TARGET in self.modalities:
            raise ValueError(
                f"`modalities` should be {M} names, as many as `unique` has, none of them "
                f"{TARGET!r}; found {self.modalities}. Name each modality once."
            )
        for field in ("num_train", "num_validation", "num_test"):
            check_count(field, getattr(self, field), at_least=1)
        check_count("num_features", self.num_features, at_least=2 * self.num_classes)
        self._check_feature_noise()

    def at(self, epoch: int) -> Synthetic:
        """Return the data set that has, unchanging, the strengths of an epoch from 0 on."""
        check_count("epoch", epoch, at_least=0)
        before = after = Shift(1, self.unique, self.redundancy, self.synergy)
        begin = end = 0
        for shift in self.shifts:
            before, begin, after, end = after, end, shift, shift.epoch
            if epoch <= end:
                break
        weight = min((epoch - begin) / (end - begin), 1.0) if end > begin else 0.0

        def between(first: float, second: float) -> float:
            return (1 - weight) * first + weight * second

        unique = (between(a, b) for a, b in zip(before.unique, after.unique, strict=True))
        redundancy = between(before.redundancy, after.redundancy)
        synergy = between(before.synergy, after.synergy)
        return replace(
            self, unique=tuple(unique), redundancy=redundancy, synergy=synergy, shifts=()
        )

    def truth(self, epoch: int = 0) -> Truth:
        """Return the true contributions at an epoch, by exact enumeration.

        Raises:
            ValueError: If classes and modalities are too many to enumerate.
        """
        return enumerate_truth(self._symbols(epoch).joint(), self.modalities)

    def load(self) -> Splits:
        """Draw the data; the same options give the same bytes."""
        last = self.at(self.shifts[-1].epoch if self.shifts else 0)
        return Splits(
            name=self.name,
            train=self.train_at(0),
            validation=last._draw("validation", self.num_validation),
            test=last._draw("test", self.num_test),
            task=Classification(self.num_classes),
            note=(
                "Synthetic: random codewords of symbols that share the label's information "
                "among modalities in known parts."
            ),
            source="drawn by counterpoise.data.Synthetic",
            licence="none: made of random numbers",
            train_at=self.train_at if self.shifts else None,
        )

    def redivided(self, seed: int) -> Synthetic:
        """Return the same data with other samples to train on and to validate on."""
        return replace(self, division=seed)

    def train_at(self, epoch: int) -> MultimodalDataset:
        """Return the training samples of an epoch; the same object while nothing shifts."""
        return _training_set(self.at(epoch))

    def codebook(self) -> Tensor:
        """Return the codewords, shape (M, 2 K + 1, num_features); the first of each is zeros.

        The others are orthogonal, in random directions, with length r = sqrt(num_features).
        """
        shape = (len(self.unique), self.num_features, 2 * self.num_classes)
        random = torch.randn(shape, generator=stream(self.seed, "codebook"), dtype=torch.float64)
        orthogonal = torch.linalg.qr(random).Q.mT * math.sqrt(self.num_features)
        return torch.nn.functional.pad(orthogonal, (0, 0, 1, 0)).float()

    def _symbols(self, epoch: int) -> SymbolModel:
        now = self.at(epoch) if self.shifts else self
        assert isinstance(self.noise, tuple)
        return SymbolModel(now.unique, now.redundancy, now.synergy, self.num_classes, self.noise)

    def _draw(self, part: str, num_samples: int) -> MultimodalDataset:
        if self.division is not None and part != "test":
            part = f"{part} {self.division}"
        symbols, target = self._symbols(0).sample(num_samples, self.seed, part)
        inputs = {}
        for m, (name, codewords) in enumerate(zip(self.modalities, self.codebook(), strict=True)):
            generator = stream(self.seed, part, "features", str(m))
            shape = (num_samples, self.num_features)
            noise = torch.randn(shape, generator=generator, dtype=torch.float32)
            inputs[name] = codewords[symbols[:, m]] + self.feature_noise * noise
        return MultimodalDataset(inputs, target)

    def _check_shifts(self) -> None:
        epochs = [shift.epoch for shift in self.shifts]
        if epochs != sorted(set(epochs)):
            raise ValueError(
                f"`shifts` should be in order of epochs, one each; found epochs {epochs}. "
                "Sort them."
            )
        for shift in self.shifts:
            if len(shift.unique) != len(self.unique):
                raise ValueError(
                    f"`shifts` should give each of {len(self.unique)} modalities a share; "
                    f"found {len(shift.unique)} at epoch {shift.epoch}. Match `unique`."
                )

    def _check_feature_noise(self) -> None:
        check_range("feature_noise", self.feature_noise, low=0.0)
        if self.feature_noise == 0:
            return
        # For a reader of the nearest codeword the worst symbol is nothing, at distance r from all
        # others: the union bound, each passed with probability Q(r / 2 sigma).
        passed = math.erfc(math.sqrt(self.num_features / 8) / self.feature_noise) / 2
        confusion = 2 * self.num_classes * passed
        if confusion > CONFUSION_LIMIT:
            raise ValueError(
                f"`feature_noise` should leave symbols apart (confused in at most "
                f"{CONFUSION_LIMIT:g} of cases); found {self.feature_noise}, which confuses up "
                f"to {min(confusion, 1.0):.2g}. Lower it or raise `num_features`."
            )


@lru_cache(maxsize=2)  # once the strengths rest, epochs share one set instead of drawing it anew
def _training_set(source: Synthetic) -> MultimodalDataset:
    return source._draw("train", source.num_train)
