"""Totals of an epoch: loss and metrics of the model, score and metric of responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from counterpoise.core.scores import Score
from counterpoise.engine.epochs import num_counted, weighed
from counterpoise.engine.output import Output


class _Mean(Metric):
    """The mean of means over labels or samples; without the wait that torchmetrics' has."""

    full_state_update = False
    total: Tensor
    num_samples: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(shape), dist_reduce_fx="sum")
        self.add_state("num_samples", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, mean: Tensor, size: Tensor) -> None:
        """Add the mean over so many samples, or labels; of none it may be NaN."""
        wide = torch.promote_types(mean.dtype, torch.float32)
        self.total = self.total + weighed(mean, size.to(wide))
        self.num_samples = self.num_samples + size

    def compute(self) -> Tensor:
        """Return the mean over all."""
        return self.total / self.num_samples


class Tally(nn.Module):
    """Adds up outputs over batches and processes, on the device, without waiting for it.

    Args:
        metrics: What is reported of the model, by name; the tally works on clones.
        headline: Name of the one among them that is reported of each response too.
        modalities: Names of the responses that are measured; none leaves them out.
        persistent: Whether the sums belong to the state dict, so that an epoch can be resumed
            in its middle.
        score: What samples are scored by, which may know labels that do not count: a batch's loss
            is the mean over the others, its scores are over the samples that have any.
        losses: Whether the scores are losses too, means over labels.

    Example:
        >>> from torchmetrics.classification import MulticlassAccuracy
        >>> accuracy = MulticlassAccuracy(2, average="micro")
        >>> tally = Tally({"accuracy": accuracy}, "accuracy", ("audio",))
        >>> logits = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
        >>> responses, scores = -logits.unsqueeze(0), torch.tensor([1.5])
        >>> tally.update(
        ...     Output(logits, logits, torch.tensor(0.5), responses, scores), torch.tensor([1, 0])
        ... )
        >>> {name: value.item() for name, value in tally.compute().items()}
        {'loss': 0.5, 'accuracy': 1.0, 'response/audio/accuracy': 0.0, 'response/audio/score': 1.5}
    """

    def __init__(
        self,
        metrics: Mapping[str, Metric],
        headline: str,
        modalities: Sequence[str] = (),
        *,
        persistent: bool = False,
        score: Score | None = None,
        losses: bool = False,
    ) -> None:
        super().__init__()
        self.headline, self.modalities = headline, tuple(modalities)
        self._ignored = getattr(score, "ignore_index", None)
        self._counted = None if losses else getattr(score, "counted", None)
        self._loss = _Mean()
        self._scores = _Mean(len(self.modalities))
        self._whole = {name: metric.clone() for name, metric in metrics.items()}
        self._responses = [metrics[headline].clone() for _ in modalities]
        self._metrics: list[Metric] = [self._loss, *self._whole.values()]
        self._metrics += [*self._responses, self._scores]
        for metric in self._metrics:
            metric.persistent(persistent)
        self.metrics = nn.ModuleList(self._metrics)

    @torch.no_grad()
    def update(self, out: Output, target: Tensor) -> None:
        """Add a batch of B samples: ``out`` as ``Balanced`` returned it, ``target`` (B, ...)."""
        if len(target) == 0:
            return
        assert out.loss is not None
        num_labels = self.num_labels(out, target)
        self._loss.update(out.loss.detach(), num_labels)
        for metric in self._whole.values():
            metric.update(out.logits.detach(), target)
        if self.modalities:
            assert out.responses is not None
            assert out.scores is not None
            num_scored = num_labels if self._counted is None else self._counted(target).sum()
            self._scores.update(out.scores, num_scored)
            for metric, response in zip(self._responses, out.responses, strict=True):
                metric.update(response, target)

    def num_labels(self, out: Output, target: Tensor) -> Tensor:
        """Return what the loss of a batch is the mean over: its labels that count, or samples."""
        return num_counted(out.logits, target, self._ignored)

    def compute(self) -> dict[str, Tensor]:
        """Return "loss", the metrics, and of each response the headline metric and "score"."""
        values = {"loss": self._loss.compute()}
        values |= {name: metric.compute() for name, metric in self._whole.items()}
        if self.modalities:
            # torchmetrics makes a scalar of a vector of one.
            scores = self._scores.compute().reshape(len(self.modalities))
            for m, name in enumerate(self.modalities):
                values[f"response/{name}/{self.headline}"] = self._responses[m].compute()
                values[f"response/{name}/score"] = scores[m]
        return values

    def reset(self) -> None:
        """Forget everything."""
        for metric in self._metrics:
            metric.reset()
