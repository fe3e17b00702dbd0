"""Listening to one module of a model, found by a path, while the model runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from counterpoise.core.errors import suggestion
from counterpoise.core.pytree import map_tensors, tensors

_PLACE = re.compile(r"([^:\[\]]*)(?::(\w*))?((?:\[[^\[\]]+\])*)")
Step = int | str | slice | tuple[Any, ...]


class Tap:
    """Catches what a module puts out, or takes in, while the block lasts.

    Args:
        model: Where the module is.
        name: What the feature is called in messages.
        path: Of the module, and what of it is the feature, as :func:`extract_features` takes it.

    Raises:
        ValueError: If there is no such module, or the end of the path says nothing.
    """

    def __init__(self, model: nn.Module, name: str, path: str) -> None:
        self.what = f"`paths[{name!r}]` = {path!r}"
        match = _PLACE.fullmatch(path)
        module_path, side, index = match.groups("") if match else (path, "", "")
        modules = dict(model.named_modules(remove_duplicate=False))
        modules.pop("")
        if module_path not in modules:
            raise ValueError(
                f"`paths[{name!r}]` should be the path of a module of the model; found "
                f"{module_path!r}.{suggestion(module_path, modules)} See `model.named_modules()` "
                "for the paths."
            )
        if side not in ("", "input", "output"):
            raise ValueError(
                f"`paths[{name!r}]` should end with ':input', ':output' or neither; found "
                f"{path!r}. Name what of the module is the feature."
            )
        self.module, self.of_input = modules[module_path], side == "input"
        self.index = [_step(step) for step in re.findall(r"\[([^\]]+)\]", index)]
        self.caught: list[Any] = []

    def __enter__(self) -> None:
        if self.of_input:  # before the module runs, which may change its input in place
            self._handle = self.module.register_forward_pre_hook(self._input, with_kwargs=True)
        else:
            self._handle = self.module.register_forward_hook(self._output)

    def __exit__(self, *exception: object) -> None:
        self._handle.remove()

    def _input(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        self._catch(next(iter((*args, *kwargs.values())), None))

    def _output(self, module: nn.Module, args: Any, output: Any) -> None:
        self._catch(output)

    def _catch(self, feature: Any) -> None:
        for step in self.index:
            feature = self._entry(feature, step)
        # Copied at once: what comes next in the model may change it in place.
        self.caught.append(map_tensors(lambda t: t.detach().to("cpu", copy=True), feature))

    def _entry(self, value: Any, step: Step) -> Any:
        try:
            named = isinstance(step, str) and not isinstance(value, Mapping)
            return getattr(value, str(step)) if named else value[step]
        except (TypeError, LookupError, AttributeError):
            shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
            raise ValueError(
                f"{self.what} should lead to an entry; found a {type(value).__name__}{shape}, "
                f"which has none {step!r}. Index what the module returns, as in Python."
            ) from None

    def take(self, leading: torch.Size) -> Tensor:
        """Return what was caught in the pass that is over, flattened to rows (N, D).

        Args:
            leading: The axes that the feature has to begin with; N is their product.

        Raises:
            RuntimeError: If the module was not called exactly once.
            TypeError: If what was caught is not one tensor.
            ValueError: If it does not begin with these axes.
        """
        caught, self.caught = self.caught, []
        if len(caught) != 1:
            raise RuntimeError(
                f"{self.what} should be called exactly once in a forward pass of the model; "
                f"found {len(caught)} calls. Name a module that is called once (by "
                "`module(...)`, not by another method)."
            )
        leaves = tensors(caught[0])
        if len(leaves) != 1:
            raise TypeError(
                f"{self.what} should give one tensor; found {len(leaves)} of them. Say which by an "
                "index, as in 'rnn[1][-1]', or name a module within it, or one that comes after."
            )
        feature = leaves[0]
        if feature.shape[: len(leading)] != leading:
            raise ValueError(
                f"{self.what} should have a row for each of {leading.numel()} samples; found shape "
                f"{tuple(feature.shape)}. Name a module whose first axis is the batch, or an entry "
                "by an index, as in 'rnn[1][-1]'."
            )
        feature = feature.flatten(0, len(leading) - 1)
        return feature.flatten(1) if feature.dim() > 1 else feature.unsqueeze(1)


def _step(text: str) -> Step:
    """Return what is between two brackets as Python indexes with it.

    Example:
        >>> _step("-1"), _step("last_hidden_state"), _step(":, -1")
        (-1, 'last_hidden_state', (slice(None, None, None), -1))
    """
    if "," in text:
        return tuple(_step(part.strip()) for part in text.split(","))
    if text == ":":
        return slice(None)
    return int(text) if re.fullmatch(r"-?\d+", text) else text.strip("'\"")
