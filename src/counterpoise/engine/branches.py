"""Which parameters belong to which modality, by module path.

An encoder is the module whose output is a modality's feature; a branch is everything that is the
modality's own, its encoder and its head. Ownership is never guessed from a parameter's name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import nn

from counterpoise.core.errors import suggestion

__all__ = ["Branches"]

Paths = str | Sequence[str]


class Branches:
    """The modules that each modality owns in a model.

    Args:
        model: The user's module; only looked at, not kept.
        modalities: Names, in order.
        encoders: Path of each modality's encoder.
        heads: Path of each modality's own head, whose outputs add up to the logits.
        branches: Paths of the modules that a modality owns. Default: encoder and head.

    Raises:
        ValueError: If a name is no modality, a path matches no module, or a parameter would be
            owned by two modalities.
    """

    def __init__(
        self,
        model: nn.Module,
        modalities: Sequence[str],
        *,
        encoders: Mapping[str, str],
        heads: Mapping[str, str],
        branches: Mapping[str, Paths] | None,
    ) -> None:
        self.modalities = tuple(modalities)
        self.encoders, self.heads = dict(encoders), dict(heads)
        owned = {name: [] for name in modalities} if branches is None else _listed(branches)
        if branches is None:
            for name in modalities:
                owned[name] = [m[name] for m in (self.encoders, self.heads) if name in m]
        self.owned: dict[str, list[str]] = owned
        paths = dict(model.named_modules(remove_duplicate=False))
        self._check_names("heads", self.heads)
        self._check_names("branches", self.owned)
        for name, path in self.heads.items():
            _check_path(f"heads[{name!r}]", path, paths)
        for name, several in self.owned.items():
            for path in several:
                _check_path(f"branches[{name!r}]", path, paths)
        self._check_apart("heads", self.heads, paths)
        if self.heads and len(self.heads) < len(self.modalities):
            missing = [name for name in self.modalities if name not in self.heads]
            raise ValueError(
                "`heads` should name a head for each modality or be left out; found none for "
                f"{', '.join(missing)}. Add it: heads are those of an additive fusion."
            )
        if branches is not None:
            self.check_owners(model)

    def encoder_parameters(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """Return the parameters of each modality's encoder, in order of modality."""
        return [
            list(model.get_submodule(self.encoders[name]).parameters())
            if name in self.encoders
            else []
            for name in self.modalities
        ]

    def modules(self, model: nn.Module) -> list[list[nn.Module]]:
        """Return the modules of each modality's branch, in order of modality."""
        return [
            [model.get_submodule(path) for path in self.owned.get(name, [])]
            for name in self.modalities
        ]

    def parameters(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """Return the parameters of each modality's branch, in order of modality."""
        return [_unique(modules) for modules in self.modules(model)]

    def groups(self, model: nn.Module, parameters: Iterable[nn.Parameter]) -> list[dict[str, Any]]:
        """Divide parameters into what one modality owns alone and the rest; leave out empty ones.

        Args:
            model: The user's module.
            parameters: All that are trained, those of the branches among them.

        Returns:
            Groups for an optimiser: "params", and "modality", a name or None for the rest.
        """
        owned = self.parameters(model)
        owners = Counter(p for several in owned for p in several)
        groups: list[dict[str, Any]] = [
            {"params": [p for p in several if owners[p] == 1], "modality": name}
            for name, several in zip(self.modalities, owned, strict=True)
        ]
        rest = [p for p in parameters if owners[p] != 1]
        groups.append({"params": rest, "modality": None})
        return [group for group in groups if group["params"]]

    def require(self, what: str, method: str) -> None:
        """Raise unless every modality has an encoder ("encoders") or a branch ("branches").

        Raises:
            ValueError: Naming the modality without one.
        """
        have = self.encoders if what == "encoders" else self.owned
        missing = [name for name in self.modalities if not have.get(name)]
        if missing:
            raise ValueError(
                f"`{what}` should be given for {method}, which acts on them; found none for "
                f"{', '.join(missing)}. Pass {what}={{{missing[0]!r}: 'path.of.module', ...}}."
            )

    def require_trainable(self, model: nn.Module, method: str) -> None:
        """Raise if an encoder whose gradient a method scales has no gradient at all.

        Raises:
            ValueError: Naming the encoder.
        """
        for name, parameters in zip(self.modalities, self.encoder_parameters(model), strict=True):
            if parameters and not any(p.requires_grad for p in parameters):
                raise ValueError(
                    f"`encoders[{name!r}]` = {self.encoders[name]!r} should have a parameter that "
                    f"is trained, since {method} scales its gradient; found it wholly frozen. "
                    "Unfreeze it, or use a method that acts elsewhere."
                )

    def _check_names(self, what: str, given: Iterable[str]) -> None:
        for name in given:
            if name not in self.modalities:
                raise ValueError(
                    f"`{what}` should name modalities, which are {', '.join(self.modalities)}; "
                    f"found {name!r}.{suggestion(name, self.modalities)}"
                )

    def _check_apart(
        self, what: str, given: Mapping[str, str], paths: Mapping[str, nn.Module]
    ) -> None:
        owners: dict[nn.Module, str] = {}
        for name, path in given.items():
            other = owners.setdefault(paths[path], name)
            if other != name:
                raise ValueError(
                    f"`{what}` should be a different module for each modality; found {path!r} for "
                    f"both {other!r} and {name!r}. Name each modality's own."
                )

    def check_owners(self, model: nn.Module, what: str = "branches") -> None:
        """Raise if a parameter is in the "branches", or "encoders", of two modalities.

        Raises:
            ValueError: Naming the parameter and both modalities.
        """
        owners: dict[nn.Parameter, str] = {}
        names = {p: name for name, p in model.named_parameters()}
        owned = self.parameters(model) if what == "branches" else self.encoder_parameters(model)
        for name, parameters in zip(self.modalities, owned, strict=True):
            for p in parameters:
                if owners.get(p, name) != name:
                    raise ValueError(
                        f"`{what}` should own each parameter once; found {names[p]!r} in those "
                        f"of {owners[p]!r} and {name!r}. Name smaller modules, or leave what is "
                        "shared out of both."
                    )
                owners[p] = name


def _listed(branches: Mapping[str, Paths]) -> dict[str, list[str]]:
    return {
        name: [paths] if isinstance(paths, str) else list(paths) for name, paths in branches.items()
    }


def _check_path(what: str, path: str, paths: Mapping[str, nn.Module]) -> None:
    if not path or path not in paths:
        raise ValueError(
            f"`{what}` should be the path of a module of the model; found {path!r}."
            f"{suggestion(path, paths)} See `model.named_modules()` for the paths."
        )


def _unique(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    return list(dict.fromkeys(p for module in modules for p in module.parameters()))
