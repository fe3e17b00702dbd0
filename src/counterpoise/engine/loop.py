"""What a wrapped model offers the training loop between its steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.pytree import PyTree, map_tensors, tensors
from counterpoise.engine.arguments import check_call, require_target
from counterpoise.engine.batch import Batch
from counterpoise.engine.epochs import Metric, collect, evaluated, in_eval_mode, right_share
from counterpoise.engine.evaluator import Evaluator
from counterpoise.engine.output import Output
from counterpoise.engine.passes import Tools
from counterpoise.engine.setup import Facts
from counterpoise.engine.sharding import gathers
from counterpoise.methods.method import Evaluation, Features, Method, answers


class Loop(nn.Module):
    """The part of ``Balanced`` that is called between its steps, and makes them of batches."""

    model: nn.Module
    method: Method
    absent: Any
    _tools: Tools

    def respond(self, *, target: PyTree = None, **inputs: Any) -> Output:
        """Return responses and unimodal logits, without gradient or effect."""
        raise NotImplementedError

    def steps(self, *, target: PyTree, **inputs: Any) -> Iterator[Output]:
        """Yield the outputs of the training steps that a batch is: one, for most methods.

        A loop that serves all methods goes backward and steps for each: ``for out in
        balanced.steps(**batch): ...``.

        Args:
            target: As in a call.
            **inputs: As in a call.

        Raises:
            TypeError: If a modality is missing.
        """
        names = self._tools.ownership.modalities
        check_call(self.model, names, inputs)
        if not (self.training and answers(self.method, "substeps")):
            yield self(target=target, **inputs)
            return
        require_target(target)
        count = len(tensors(target)[0])
        for rows in self.method.substeps(target, partial(self._unimodal, inputs)):
            given = {"target": target, **inputs}
            if rows is not None:
                given = map_tensors(partial(_taken, rows=rows, count=count), given)
            yield self(**given)

    def evaluate(
        self,
        loader: Iterable[Mapping[str, Any]],
        *,
        epoch: int | None = None,
        metric: Metric | None = None,
    ) -> Evaluation:
        """Measure on validation data what methods go by; hand it on with ``on_validation``.

        Runs in eval mode without gradient, and leaves the mode as it was. In several processes
        means are over the samples of all.

        Args:
            loader: Batches: mappings of keywords with "target", which are moved to the model's
                device.
            epoch: The training epoch that is over, from 0. Default: the one that the method was
                told of.
            metric: From logits and target of a batch to their mean, higher is better. Default:
                the share of class labels that are right, but for those that the score ignores;
                NaN for other targets.

        Raises:
            TypeError: If a batch is no mapping with a target.
            ValueError: If there is no sample.
        """
        ignored = getattr(self._tools.score, "ignore_index", None)
        with in_eval_mode(self):
            return evaluated(
                loader,
                self.respond,
                self._tools.criterion,
                self._device(),
                epoch=self.method.epoch if epoch is None else epoch,
                metric=partial(right_share, ignored=ignored) if metric is None else metric,
                ignored=ignored,
                process_group=self._tools.process_group,
            )

    def on_epoch(
        self, train: Iterable[Mapping[str, Any]], validation: Iterable[Mapping[str, Any]]
    ) -> None:
        """Tell the method that an epoch is over; features of the data are computed if it asks.

        Costs nothing unless the method looks at features, which takes a pass of the encoders
        through both loaders, in eval mode.

        Args:
            train: Batches of the training data: mappings of keywords with "target".
            validation: Of the validation data.
        """
        encoders = self._tools.ownership.encoders
        modules = [self.model.get_submodule(path) for path in encoders.values()]
        with torch.inference_mode(False):  # or training could not use what the method makes of them
            self.method.on_epoch(modules, lambda: self._features(train, validation))

    def _features(
        self, train: Iterable[Mapping[str, Any]], validation: Iterable[Mapping[str, Any]]
    ) -> Features:
        with in_eval_mode(self):
            of_train = collect(train, self._encode, self._device())
            return Features(*of_train, *collect(validation, self._encode, self._device()))

    @gathers
    def _encode(self, **inputs: Any) -> Mapping[int, PyTree]:
        names = self._tools.ownership.modalities
        check_call(self.model, names, inputs)
        batch = Batch.split(names, inputs, self.absent)
        return Evaluator(self._tools.runner.setup, Facts(), self.model, batch).encoded(
            batch.whole()
        )

    def _unimodal(self, inputs: dict[str, Any]) -> Tensor:
        with in_eval_mode(self):
            logits = self.respond(**inputs).unimodal_logits
        assert logits is not None
        return logits

    def _device(self) -> torch.device:
        return next((p.device for p in self.parameters()), torch.device("cpu"))


def _taken(tensor: Tensor, *, rows: Tensor, count: int) -> Tensor:
    """Return some rows of a tensor that has one for each sample; any other as it is."""
    return tensor[rows] if tensor.dim() and len(tensor) == count else tensor
