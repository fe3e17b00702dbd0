"""Synthetic data of known contributions, against which measures and methods are checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from counterpoise.core.errors import check_range
from counterpoise.data import DataSource, MultimodalDataset, Samples, Splits, Synthetic
from counterpoise.data.synthetic.truth import Truth
from counterpoise.training import SGD, Network, Recipe, TrainerOptions

SETTINGS: Mapping[str, Synthetic] = {
    "one knows most": Synthetic(unique=(0.7, 0.1), redundancy=0.0, synergy=0.0),
    "uneven": Synthetic(unique=(0.5, 0.2), redundancy=0.2, synergy=0.0),
    "even": Synthetic(unique=(0.35, 0.35), redundancy=0.2, synergy=0.0),
    "redundant": Synthetic(unique=(0.15, 0.05), redundancy=0.7, synergy=0.0),
    "noisy": Synthetic(unique=(0.5, 0.3), redundancy=0.1, synergy=0.0, noise=(0.3, 0.0)),
    "three": Synthetic(unique=(0.5, 0.3, 0.1), redundancy=0.0, synergy=0.0),
    "three, redundant": Synthetic(unique=(0.3, 0.15, 0.05), redundancy=0.4, synergy=0.0),
}
"""Divisions of the label's information that a sum over modalities can use to the full."""

SYNERGY: Mapping[str, Synthetic] = {
    "synergy": Synthetic(unique=(0.3, 0.1), redundancy=0.1, synergy=0.4),
    "mostly synergy": Synthetic(unique=(0.1, 0.1), redundancy=0.0, synergy=0.7),
}
"""Divisions of which a sum over modalities can use a part only."""


def digits() -> DataSource:
    """Return the real data that studies use unless told otherwise."""
    from counterpoise.data import Digits

    return Digits()


def recipe_for(
    data: DataSource, fusion: str, *, max_epochs: int, seed: int, num_train: int | None = None
) -> Recipe:
    """Return how the studies train on synthetic data: one MLP a modality, SGD, on the CPU.

    Args:
        data: The data set.
        fusion: Of the network.
        max_epochs: Epochs.
        seed: Of training and, for synthetic data, of the data too: an interval over seeds then
            holds for other data of the same kind.
        num_train: Training samples of synthetic data. Default: as it says.
    """
    if isinstance(data, Synthetic):
        data = _drawn(data, seed, num_train)
    elif isinstance(data, Rescaled):
        data = replace(data, source=_drawn(data.source, seed, num_train))
    return Recipe(
        data,
        model=Network("mlp", fusion=fusion),
        optimizer=SGD(learning_rate=0.02),
        trainer=TrainerOptions(
            max_epochs=max_epochs, accelerator="cpu", num_threads=1, gradient_clip_val=5.0
        ),
        seed=seed,
    )


def _drawn(data: Synthetic, seed: int, num_train: int | None) -> Synthetic:
    size = data.num_train if num_train is None else num_train
    return replace(data, seed=seed, num_train=size)


def true_contributions(data: DataSource) -> dict[str, float]:
    """Return the contribution of each modality to what can be known of the label, in nats."""
    truth = _truth(data)
    return dict(zip(truth.modalities, truth.contributions.tolist(), strict=True))


def true_information(data: DataSource) -> dict[str, float]:
    """Return what each modality knows of the label by itself, whoever else knows it, in nats."""
    truth = _truth(data)
    return {name: truth.value(name) for name in truth.modalities}


def _truth(data: DataSource) -> Truth:
    source = data.source if isinstance(data, Rescaled) else data
    assert isinstance(source, Synthetic)
    return source.truth(source.shifts[-1].epoch if source.shifts else 0)


@dataclass(frozen=True)
class Rescaled(DataSource):
    """Another data set with each modality multiplied by a number: as informative, learnt slower.

    Args:
        source: The other data set.
        factors: One a modality, above 0. A small one makes a modality slow to learn from.

    Raises:
        ValueError: If a factor is not above 0, or in ``load`` if there are not as many as
            modalities.

    Example:
        >>> source = Synthetic()
        >>> slow = Rescaled(source, (0.1, 1.0)).load()
        >>> bool((slow.test[0]["m1"] == 0.1 * source.load().test[0]["m1"]).all())
        True
    """

    name: ClassVar[str] = "synthetic-rescaled"

    source: Synthetic
    factors: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "factors", tuple(self.factors))
        for factor in self.factors:
            check_range("factors", factor, low=0, open_low=True)
        if len(self.factors) != len(self.source.modalities):
            raise ValueError(
                f"`factors` should hold one number for each of {len(self.source.modalities)} "
                f"modalities; found {len(self.factors)}. Match them."
            )

    def load(self) -> Splits:
        """Draw the data, and multiply."""
        splits = self.source.load()
        factors = dict(zip(self.source.modalities, self.factors, strict=True))

        def rescaled(part: Samples) -> MultimodalDataset:
            assert isinstance(part, MultimodalDataset)  # as of synthetic data
            inputs = {name: factors[name] * x for name, x in part.inputs.items()}
            return MultimodalDataset(inputs, part.target)

        return replace(
            splits,
            name=self.name,
            train=rescaled(splits.train),
            validation=rescaled(splits.validation),
            test=rescaled(splits.test_set),
        )
