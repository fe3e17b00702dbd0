"""Diagnosing and re-learning.

Legend: P_train and P_val purity of the clusters of a modality's features, theta weights of its
encoder, theta_0 those it began with.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.errors import check_count, check_range, check_seed
from counterpoise.core.gradient_scaling import check_whole
from counterpoise.methods.method import Features, Method, Needs, Signals
from counterpoise.methods.shared.snapshots import Snapshots


class Relearning(Method):
    r"""Sets encoders back towards their beginning, the more, the more they have memorised.

    After epochs ``every``, 2 ``every``, ...: theta <- w theta_0 + (1 - w) theta for the
    parameters of each encoder, w = tanh(strength |P_train - P_val|), where P is the purity of
    k-means clusters of its features, as many as there are classes. theta_0 are the weights at the
    first step that the method takes part in: of training, or of its window. Buffers stay.

    Args:
        every: Epochs from one to the next, at least 1. Released setting: 20.
        times: How often in all, at least 1. Released setting: 3.
        strength: At least 0; 0 is joint training. Published: 3 to 8 for different data; released
            setting: 3.
        seed: Of the clustering.

    Attributes:
        gaps: |P_train - P_val| when it was last looked at, shape (M,).
        num_relearned: How often encoders were set back so far.

    Needs encoders, class labels, scikit-learn for k-means, and a training loop that hands on
    features at the end of an epoch: ``balanced.on_epoch(train_loader, validation_loader)``.

    Example: features that part the classes in training and do not in validation.

        >>> method, encoder = Relearning(every=1), nn.Linear(1, 1)
        >>> method.bind(["audio", "image"])
        >>> start = encoder.weight.detach().clone()
        >>> both = [list(encoder.parameters()), []]
        >>> method.coefficients(Signals(None, None, encoder_parameters=both))  # keeps the start
        >>> _ = nn.init.constant_(encoder.weight, 9.0)
        >>> parted, mixed = torch.tensor([[0.0], [0.1], [5.0], [5.1]]), torch.arange(4) % 2
        >>> train, labels = [parted, parted], torch.tensor([0, 0, 1, 1])
        >>> features = Features(train, labels, [parted, parted], mixed)
        >>> method.on_epoch([encoder, nn.Identity()], lambda: features)
        >>> method.gaps  # purity of 1 and of 1/2
        tensor([0.5000, 0.5000])
        >>> w = torch.tanh(torch.tensor(3 * 0.5))
        >>> bool(torch.isclose(encoder.weight, w * start + (1 - w) * 9.0).all())
        True

    Reference: Wei et al., "Diagnosing and Re-learning for Balanced Multimodal Learning", ECCV
    2024.
    """

    tasks = frozenset({"classification"})
    gaps: Tensor
    num_relearned: Tensor

    def __init__(
        self, every: int = 20, times: int = 3, strength: float = 3.0, *, seed: int = 0
    ) -> None:
        super().__init__()
        check_count("every", every, at_least=1)
        check_count("times", times, at_least=1)
        check_range("strength", strength, low=0)
        check_seed("seed", seed)
        self.every, self.times, self.strength, self.seed = every, times, strength, seed
        self.starts = Snapshots()
        self._asked = False
        self._first: int | None = None  # epoch of the first step in this run, and in the window

    def allocate(self, num_modalities: int, dtype: torch.dtype) -> None:
        """Make room for the gaps."""
        self.register_buffer("gaps", torch.zeros(num_modalities, dtype=dtype))
        self.register_buffer("num_relearned", torch.tensor(0))

    def needs(self) -> Needs:
        """Return that encoders are acted on."""
        return Needs(owns="encoders")

    def set_epoch(self, epoch: int) -> None:
        """Learn the epoch; warn once in a training loop that hands on no features."""
        super().set_epoch(epoch)
        if self._first is not None and epoch >= self._first + self.every and not self._asked:
            self._asked = True
            warnings.warn(
                "`balanced.on_epoch(train_loader, validation_loader)` should be called when an "
                "epoch is over, for Relearning; found that it was not. Call it in the training "
                "loop: until then this is joint training.",
                UserWarning,
                stacklevel=2,
            )

    def coefficients(self, signals: Signals) -> None:
        """Leave the responses alone; keep the weights that training starts with."""
        self._first = self.epoch if self._first is None else self._first
        if not self._keeps:
            for index, parameters in enumerate(signals.encoder_parameters):
                check_whole(parameters)
                self.starts.keep(f"encoder{index}", [nn.ParameterList(parameters)])

    def _load_from_state_dict(self, *args: Any) -> None:
        super()._load_from_state_dict(*args)
        self._first = None

    @property
    def _keeps(self) -> bool:
        return any(name != "place" for name, _ in self.starts.named_buffers())

    @torch.no_grad()
    def on_epoch(self, encoders: Sequence[nn.Module], features: Callable[[], Features]) -> None:
        """Set encoders back, if the epoch that is over is one of those.

        Raises:
            ImportError: Without scikit-learn.
            ValueError: If targets are no class labels.
        """
        self._asked = True
        due = (self.epoch + 1) % self.every == 0 and int(self.num_relearned) < self.times
        if not due or not self._keeps:
            return
        extracted = features()
        purities = [
            [purity(rows, target, seed=self.seed) for rows in several]
            for several, target in (
                (extracted.train, extracted.train_target),
                (extracted.validation, extracted.validation_target),
            )
        ]
        train, validation = torch.tensor(purities, dtype=self.gaps.dtype, device=self.gaps.device)
        self.gaps = (train - validation).abs()
        for index, encoder in enumerate(encoders):
            w = torch.tanh(self.strength * self.gaps[index])
            own = nn.ParameterList(encoder.parameters())
            for parameter, start in self.starts.copies(f"encoder{index}", [own]):
                parameter.lerp_(start, w.to(parameter))
        self.num_relearned = self.num_relearned + 1


def purity(features: Tensor, labels: Tensor, *, seed: int) -> float:
    """Return the purity of k-means clusters of features: the share that its cluster's class has.

    Features are first brought to [0, 1] by their least and largest value, each by itself; [-1, 1],
    as in the released code, has the same clusters.

    Args:
        features: Shape (N, D).
        labels: Class labels, shape (N,); as many clusters as there are different ones. Samples of
            negative ones, which have no class, do not count.
        seed: Of the clustering.

    Raises:
        ImportError: Without scikit-learn.
        ValueError: If labels are no class labels.

    Example:
        >>> points = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
        >>> [purity(points, torch.tensor(y), seed=0) for y in ([0, 0, 1, 1], [0, 1, 0, 1])]
        [1.0, 0.5]
    """
    if labels.is_floating_point() or labels.dim() != 1:
        raise ValueError(
            f"`labels` should be class labels (N,) for the purity of clusters; found "
            f"{labels.dtype} of shape {tuple(labels.shape)}. Use Relearning for classes alone."
        )
    try:
        from sklearn.cluster import KMeans  # type: ignore[import-untyped]
        from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    except ImportError as error:
        raise ImportError(
            "Relearning clusters features with scikit-learn, which is not installed. Run `pip "
            'install "counterpoise[train]"`.'
        ) from error
    known = labels.ge(0)
    if not known.any():
        raise ValueError(
            "`labels` should have some that are 0 or more for the purity of clusters; found none. "
            "Hand on data with labels."
        )
    features, labels = features[known], labels[known]
    low, high = features.amin(dim=0), features.amax(dim=0)
    scaled = (features - low) / (high - low).clamp_min(torch.finfo(features.dtype).tiny)
    classes, numbers = torch.unique(labels, return_inverse=True)
    clustering = KMeans(n_clusters=len(classes), n_init=10, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # features that are all alike: one
        assigned = clustering.fit_predict(scaled.cpu().double().numpy())
    clusters = torch.from_numpy(assigned)
    table = torch.zeros(len(classes), len(classes), dtype=torch.int64)
    table.index_put_(
        (clusters.long(), numbers.cpu()), torch.ones(len(labels), dtype=torch.int64), True
    )
    return int(table.amax(dim=1).sum()) / len(labels)
