"""What is logged of each modality, from a training step and from an evaluation in batches."""

from __future__ import annotations

from math import isnan

import torch
from torch import Tensor

from counterpoise.balanced import Balanced
from counterpoise.core.criterion import joint_loss
from counterpoise.core.pytree import PyTree
from counterpoise.core.scores import Criterion, Score, sum_over_processes
from counterpoise.engine.epochs import num_counted, right_share, weighed
from counterpoise.engine.output import Output
from counterpoise.methods.method import Evaluation, answers


class EvaluationTally:
    """Sums over the samples of an evaluation: of the model and of each modality's own logits.

    Sums stay on the device until they are asked for, so that no batch waits for it.

    Args:
        modalities: Names, in order.
        criterion: The joint loss of logits and target.
        process_group: Processes to add up over. Default: all.
        score: What samples are scored by, which may know class labels that do not count.

    Example:
        >>> import torch
        >>> from torch.nn.functional import cross_entropy
        >>> tally = EvaluationTally(("audio", "image"), cross_entropy)
        >>> logits = torch.tensor([[9.0, 0.0], [9.0, 0.0]])
        >>> both = torch.stack([logits, -logits])
        >>> tally.update(Output(logits, None, responses=both, unimodal_logits=both),
        ...              torch.tensor([0, 0]))
        >>> tally.metrics()["response/audio/accuracy"], tally.metrics()["response/image/accuracy"]
        (1.0, 0.0)
    """

    def __init__(
        self,
        modalities: tuple[str, ...],
        criterion: Criterion,
        process_group: object = None,
        score: Score | None = None,
    ) -> None:
        self.modalities, self.criterion, self.process_group = modalities, criterion, process_group
        self.ignored = getattr(score, "ignore_index", None)
        self._counted = getattr(score, "counted", None)
        self._sums: Tensor | None = None

    def reset(self) -> None:
        """Forget all samples."""
        self._sums = None

    def update(self, out: Output, target: PyTree) -> None:
        """Add a batch that ``respond`` has answered."""
        assert out.unimodal_logits is not None
        assert out.responses is not None
        own = [out.logits.float(), *out.unimodal_logits.float()]
        losses = torch.stack([joint_loss(self.criterion, logits, target) for logits in own])
        every = (*own, *out.responses)
        shares = torch.stack([right_share(logits, target, self.ignored) for logits in every])
        scores = out.scores
        if scores is None:
            scores = losses.new_full((len(self.modalities),), float("nan"))
        means = torch.cat([losses, shares]).detach()
        wide = torch.float32 if means.device.type == "mps" else torch.float64  # the widest there is
        size = rows = num_counted(out.logits, target, self.ignored).to(wide)
        if self._counted is not None:  # losses are means over labels, scores over samples with any
            rows = self._counted(target).sum().to(wide)
        added = torch.cat([weighed(means, size), weighed(scores, rows), torch.stack([size, rows])])
        self._sums = added if self._sums is None else self._sums + added

    def metrics(self) -> dict[str, float]:
        """Return "accuracy", and of each modality its score and its accuracy; leave out NaN."""
        evaluation, shares, scores = self._means(epoch=0)
        values = {"accuracy": evaluation.accuracy}
        for i, name in enumerate(self.modalities):
            values[f"response/{name}/score"] = float(scores[i])
            values[f"response/{name}/accuracy"] = float(shares[i])
        return {name: value for name, value in values.items() if not isnan(value)}

    def evaluation(self, epoch: int) -> Evaluation:
        """Return what a method goes by, after an epoch from 0.

        Raises:
            ValueError: If there was no sample.
        """
        return self._means(epoch)[0]

    @property
    def empty(self) -> bool:
        """Whether no batch was added."""
        return self._sums is None

    def _means(self, epoch: int) -> tuple[Evaluation, Tensor, Tensor]:
        if self._sums is None:
            raise ValueError(
                "An evaluation should have samples with labels; found none. Evaluate on data with "
                "labels."
            )
        total = sum_over_processes(self._sums.clone(), self.process_group)
        count = len(self.modalities)
        *parts, sizes = torch.split_with_sizes(total, [1, count, 1, count, count, count, 2])
        loss, losses, share, own_shares, shares = (part / sizes[0] for part in parts[:-1])
        scores = parts[-1] / sizes[1]
        evaluation = Evaluation(epoch, float(loss), float(share), losses, own_shares)
        return evaluation, shares, scores


def of_modalities(balanced: Balanced, out: Output) -> dict[str, float]:
    """Return each modality's score and coefficient in a training step, by the names of the log.

    Waits for the device. Coefficients of a method that scales nothing are left out.
    """
    method, logged = balanced.method, {"response/{}/score": out.scores}
    if method.needs().responses == "gradients" or answers(method, "encoder_factors"):
        logged["coefficient/{}"] = out.coefficients
    return {
        what.format(name): value
        for what, values in logged.items()
        if values is not None
        for name, value in zip(balanced.modalities, values.tolist(), strict=True)
    }
