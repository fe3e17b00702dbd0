"""Checks before training of what a Trainer of Hugging Face cannot do with a wrapped model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers.utils.generic import find_labels

from counterpoise.balanced import Balanced
from counterpoise.methods import answers


def check_trainer(model: Any, args: Any, keywords: Mapping[str, Any], data: Any = None) -> None:
    """Check what a Trainer is made of.

    Args:
        model: The wrapped model.
        args: ``TrainingArguments``, or None.
        keywords: Other arguments of the Trainer.
        data: Its evaluation data.

    Raises:
        TypeError: If the model is no ``Balanced``.
        ValueError: If the Trainer would compute a loss of its own, or call the method otherwise
            than it needs.
    """
    if not isinstance(model, Balanced):
        raise TypeError(
            f"`model` should be a counterpoise.Balanced; found a {type(model).__name__}. Wrap it: "
            "cp.Balanced(model, {name: path of its encoder, ...}, cp.AGM())."
        )
    _check_loss(args, keywords)
    _check_method(model, args, data)


def label_name(balanced: Balanced, args: Any) -> str:
    """Return the column that becomes the target.

    Raises:
        ValueError: If there are several.
    """
    given = getattr(args, "label_names", None)
    find: Any = find_labels  # the library does not annotate it
    names = list(given or find(type(balanced.model)) or ["labels"])
    if len(names) != 1:
        raise ValueError(
            f"`args.label_names` should name the one column that is the target; found {names}. "
            "Put what your criterion needs into one column."
        )
    return str(names[0])


def _check_loss(args: Any, keywords: Mapping[str, Any]) -> None:
    smoothing = getattr(args, "label_smoothing_factor", 0)
    if smoothing:
        raise ValueError(
            f"`args.label_smoothing_factor` should be 0: the wrapper computes the loss; found "
            f"{smoothing}. Give it to the wrapper: cp.Balanced(..., criterion="
            f"torch.nn.CrossEntropyLoss(label_smoothing={smoothing}))."
        )
    if keywords.get("compute_loss_func") is not None:
        raise ValueError(
            "`compute_loss_func` should be None: the wrapper computes the loss; found a function. "
            "Give it to the wrapper: cp.Balanced(..., criterion=function of logits and target)."
        )


def _check_method(balanced: Balanced, args: Any, data: Any) -> None:
    method = balanced.method
    if answers(method, "substeps"):
        raise ValueError(
            f"`method` should make one step of a batch, as the Trainer does; found "
            f"{method.title()}, which makes several. Train it in a loop of your own, by "
            "balanced.steps(...)."
        )
    if isinstance(data, Mapping) and answers(method, "on_validation"):
        raise ValueError(
            f"`eval_dataset` should be one data set, by which {method.title()} goes; found "
            f"{len(data)}. Give the Trainer the validation data, and evaluate on the others after "
            "training."
        )
    processes = getattr(args, "n_gpu", 1) if args is not None else 1
    if processes > 1:
        raise ValueError(
            f"Each process should have one device: scores are means over all of a batch; found "
            f"{processes} in one process. Start with `torchrun --nproc-per-node {processes}`, or "
            "set CUDA_VISIBLE_DEVICES."
        )
