"""Totals of an epoch: loss and metrics of the model, score and metric of responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from counterpoise.engine.output import Output


class _SampleMean(Metric):
    """The mean over samples of means over batches; without the wait that torchmetrics' has."""

    full_state_update = False
    total: Tensor
    num_samples: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(shape), dist_reduce_fx="sum")
        self.add_state("num_samples", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, mean: Tensor, num_samples: int) -> None:
        """Add the mean over so many samples."""
        self.total = self.total + mean * num_samples
        self.num_samples = self.num_samples + num_samples

    def compute(self) -> Tensor:
        """Return the mean over all samples."""
        return self.total / self.num_samples


class Tally(nn.Module):
    """Adds up outputs over batches and processes, on the device, without waiting for it.

    Args:
        metrics: What is reported of the model, by name; the tally works on clones.
        headline: Name of the one among them that is reported of each response too.
        modalities: Names of the responses that are measured; none leaves them out.
        persistent: Whether the sums belong to the state dict, so that an epoch can be resumed
            in its middle.

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
    ) -> None:
        super().__init__()
        self.headline, self.modalities = headline, tuple(modalities)
        self._loss = _SampleMean()
        self._scores = _SampleMean(len(self.modalities))
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
        num_samples = len(target)
        if num_samples == 0:  # the mean loss of no sample is NaN and would spoil the sum
            return
        assert out.loss is not None
        self._loss.update(out.loss.detach(), num_samples)
        for metric in self._whole.values():
            metric.update(out.logits.detach(), target)
        if self.modalities:
            assert out.responses is not None
            assert out.scores is not None
            self._scores.update(out.scores, num_samples)
            for metric, response in zip(self._responses, out.responses, strict=True):
                metric.update(response, target)

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
