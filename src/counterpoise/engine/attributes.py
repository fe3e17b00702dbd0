"""What a forward pass leaves on the modules of a model, given back as it was.

Models keep things on their modules while they run: an auxiliary loss that the training loop adds,
a count of calls, a cache or a layer that is built when it is first needed. Of a training step the
full pass alone is to leave such traces, and of an inspection no pass at all.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

_CONTAINERS = frozenset([list, dict, set, deque, OrderedDict, defaultdict, Counter])
_OF_PYTORCH = frozenset(nn.Module().__dict__)
_MOST = 1000


class AttributesKept:
    """Gives modules their attributes and buffers back after a while.

    An attribute that was set is what it was before, and one that was added is gone. Lists,
    dictionaries and sets hold what they held, and those in them, up to 1,000 entries an attribute;
    larger ones are taken for tables that are read. What else it holds is not looked into.

    Args:
        modules: Those of the model that may keep something: PyTorch's own do not.
        parts: Whether submodules and parameters that were added go as well.
    """

    def __init__(self, modules: Iterable[nn.Module], *, parts: bool = False) -> None:
        self._own, self._parts = modules, parts
        self._kept: list[tuple[dict[str, Any], dict[str, Any]]] = []
        self._held: dict[int, tuple[Any, Any]] = {}
        self._names: list[tuple[dict[str, Any], set[str]]] = []

    def __enter__(self) -> None:
        for module in self._own:
            for table in (module.__dict__, module._buffers):
                self._kept.append((table, table.copy()))
            for name in module.__dict__.keys() - _OF_PYTORCH:
                if type(module.__dict__[name]) in _CONTAINERS:
                    self._hold(module.__dict__[name])
            if self._parts:
                self._kept.append((module._modules, module._modules.copy()))
                # Parameters that were there stay: whoever shards them puts others in their place.
                self._names.append((module._parameters, set(module._parameters)))

    def _hold(self, container: Any) -> None:
        room, waiting = _MOST, [container]
        while waiting:
            value = waiting.pop()
            fits = type(value) in _CONTAINERS and len(value) <= room
            if fits and id(value) not in self._held:
                room -= len(value)
                self._held[id(value)] = (value, value.copy())
                waiting += value.values() if isinstance(value, dict) else value

    def __exit__(self, *exception: object) -> None:
        for table, kept in self._kept:
            table.update(kept)
            if len(table) != len(kept):
                _keep_only(kept.keys(), table)
        for table, names in self._names:
            _keep_only(names, table)
        for container, entries in self._held.values():
            container.clear()
            (container.extend if hasattr(container, "extend") else container.update)(entries)


class KeptIfRaised(AttributesKept):
    """Gives modules their attributes and buffers back where what runs in between raises.

    For the state of a method, which is to learn nothing from a step that did not come about.
    """

    def __exit__(self, *exception: object) -> None:
        if exception[0] is not None:
            super().__exit__(*exception)


def _keep_only(names: Set[str], table: dict[str, Any]) -> None:
    for name in table.keys() - names:
        del table[name]


@contextmanager
def buffers_kept(model: nn.Module, *, attributes: bool = False) -> Iterator[None]:
    """Give the buffers of a model their values back after a while.

    Args:
        model: The user's module.
        attributes: Whether to do the same with tensors that its modules keep otherwise.
    """
    held = list(model.buffers())
    if attributes:
        held += [v for m in model.modules() for v in vars(m).values() if type(v) is Tensor]
    kept = [(tensor, tensor.detach().clone()) for tensor in held if not is_lazy(tensor)]
    try:
        yield
    finally:
        for tensor, values in kept:
            if not torch.equal(tensor, values):
                # By its data, for a backward pass that is to come and has saved these very values.
                tensor.data.copy_(values)


def fingerprint(model: nn.Module) -> dict[str, Tensor]:
    """Return a number for each buffer, and each parameter that is not trained, by name."""
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    return {
        name: tensor.detach().sum()
        for name, tensor in (*frozen.items(), *model.named_buffers())
        if type(tensor) in (Tensor, nn.Parameter) and tensor.element_size() > 1
    }


def check_untouched(model: nn.Module, before: Mapping[str, Tensor]) -> None:
    """Raise if a buffer, or a parameter that is not trained, has another fingerprint than before.

    Raises:
        ValueError: Naming it. Each coalition would change it once more.
    """
    after = fingerprint(model)
    for name, value in before.items():
        if name in after and not torch.equal(value, after[name]) and not value.isnan():
            raise ValueError(
                "The model should leave its buffers, and parameters that are not trained, as they "
                f"are in eval mode; found {name!r} changed. Change it in training alone, under "
                "`if self.training:`, so that coalitions do not change it once more each."
            )
