"""Copies of modules' weights that are kept for later, in buffers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn


class Snapshots(nn.Module):
    """Keeps all parameters and buffers of some modules, and puts them back bit for bit.

    The copies belong to the state dict. They are made when they are asked for, so a state dict
    is loaded whichever of them it holds; they are then where this module is, not where they were.

    Example:
        >>> layer, snapshots = nn.Linear(3, 5), Snapshots()
        >>> snapshots.keep("first", [layer])
        >>> before = layer.weight.detach().clone()
        >>> _ = nn.init.zeros_(layer.weight)
        >>> snapshots.restore("first", [layer])
        >>> torch.equal(layer.weight, before)
        True
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("place", torch.zeros(()), persistent=False)  # tells the device

    @torch.no_grad()
    def keep(self, name: str, modules: Iterable[nn.Module]) -> None:
        """Copy what the modules hold now, in place of an earlier copy of that name."""
        for key in self._kept(name):
            delattr(self, key)
        for key, tensor in _tensors(name, modules).items():
            self.register_buffer(key, tensor.detach().clone())

    @torch.no_grad()
    def restore(self, name: str, modules: Iterable[nn.Module]) -> None:
        """Write the copy of that name into the modules, whose tensors stay the same objects."""
        for tensor, copy in self.copies(name, modules):
            tensor.copy_(copy)

    def copies(self, name: str, modules: Iterable[nn.Module]) -> list[tuple[Tensor, Tensor]]:
        """Pair each tensor of the modules with its copy of that name.

        Raises:
            ValueError: If they are not those that were kept.
        """
        now = _tensors(name, modules)
        kept = self._kept(name)
        if [t.shape for t in now.values()] != [t.shape for t in kept.values()]:
            raise ValueError(
                "Modules whose weights are kept for later should keep their parts; found that some "
                f"were replaced, of {name}. Wrap the model again, with a new method."
            )
        return [(tensor, kept[key]) for key, tensor in now.items()]

    def _kept(self, name: str) -> dict[str, Tensor]:
        return {key: copy for key, copy in self.named_buffers() if key.startswith(f"{name}_")}

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        ours = (key for key in state_dict if key.startswith(prefix))
        kept = {key.removeprefix(prefix): state_dict[key] for key in ours}
        for key in [*self._buffers]:
            if key not in kept and key != "place":
                delattr(self, key)
        device = self.get_buffer("place").device
        for key, tensor in kept.items():
            if key not in self._buffers:
                self.register_buffer(key, torch.empty_like(tensor, device=device))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _tensors(name: str, modules: Iterable[nn.Module]) -> dict[str, Tensor]:
    """Return each tensor of the modules once, with a key for its copy."""
    several = (chain(module.parameters(), module.buffers()) for module in modules)
    unique = dict.fromkeys(chain.from_iterable(several))
    return {f"{name}_{index}": tensor for index, tensor in enumerate(unique)}
