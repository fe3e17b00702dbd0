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
from counterpoise.engine.settings import Named


class Ownership:
    """The modules that each modality owns in a model.

    Args:
        model: The user's module; only looked at, not kept.
        given: Names of the modalities, and the paths of their modules.

    Attributes:
        modalities: Names, in order.
        encoders: Path of each modality's encoder, where given.
        heads: Path of each modality's own head; all or none.
        owned: Paths of all that a modality owns.

    Raises:
        ValueError: If a path matches no module, two modalities share an encoder or a head, or a
            parameter would be owned by both.
    """

    def __init__(self, model: nn.Module, given: Named) -> None:
        self.modalities = given.names
        self.encoders, self.heads = given.encoders, given.heads
        branches = given.branches or {}
        self.owned: dict[str, list[str]] = {
            name: _listed(branches[name])
            if name in branches
            else [paths[name] for paths in (self.encoders, self.heads) if name in paths]
            for name in self.modalities
        }
        modules = dict(model.named_modules(remove_duplicate=False))
        for kind, paths in (("encoder", self.encoders), ("head", self.heads)):
            for name, path in paths.items():
                _check_path(name, kind, path, modules)
            self._check_apart(kind, paths, modules)
        for name, several in branches.items():
            for path in _listed(several):
                _check_path(name, "branch", path, modules)
        if self.heads and len(self.heads) < len(self.modalities):
            missing = [name for name in self.modalities if name not in self.heads]
            raise ValueError(
                "`modalities` should name a head for each modality or for none; found none for "
                f"{', '.join(missing)}. Add it: heads are those of an additive fusion."
            )
        if branches:
            self.check_owners(model)

    @property
    def knows_encoders(self) -> bool:
        """Whether every modality has an encoder."""
        return len(self.encoders) == len(self.modalities)

    def encoder_parameters(self, model: nn.Module) -> list[list[nn.Parameter]]:
        """Return the parameters of each modality's encoder, in order of modality."""
        return [
            list(model.get_submodule(self.encoders[name]).parameters())
            if name in self.encoders
            else []
            for name in self.modalities
        ]

    def rest_parameters(self, model: nn.Module) -> list[nn.Parameter]:
        """Return the parameters that are in no modality's encoder."""
        owned = {id(p) for several in self.encoder_parameters(model) for p in several}
        return [p for p in model.parameters() if id(p) not in owned]

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
                f"`modalities` should name {what} for {method}, which acts on them; found none for "
                f"{', '.join(missing)}. Pass {{{missing[0]!r}: 'path.of.its.encoder', ...}}."
            )

    def require_trainable(self, model: nn.Module, method: str) -> None:
        """Raise if an encoder whose gradient a method scales has no gradient at all.

        Raises:
            ValueError: Naming the encoder.
        """
        for name, parameters in zip(self.modalities, self.encoder_parameters(model), strict=True):
            if parameters and not any(p.requires_grad for p in parameters):
                raise ValueError(
                    f"The encoder of modality {name!r}, {self.encoders[name]!r}, should have a "
                    f"parameter that is trained, since {method} scales its gradient; found it "
                    "wholly frozen. Unfreeze it, or use a method that acts elsewhere."
                )

    def _check_apart(
        self, kind: str, given: Mapping[str, str], modules: Mapping[str, nn.Module]
    ) -> None:
        owners: dict[nn.Module, str] = {}
        for name, path in given.items():
            other = owners.setdefault(modules[path], name)
            if other != name:
                raise ValueError(
                    f"The {kind} of each modality should be a different module; found {path!r} for "
                    f"both {other!r} and {name!r}. Name each modality's own, or leave tied ones "
                    "out and give names alone."
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
                        f"The {what} should own each parameter once; found {names[p]!r} in those "
                        f"of {owners[p]!r} and {name!r}. Name smaller modules, or leave what is "
                        "shared out of both."
                    )
                owners[p] = name


def _listed(paths: str | Sequence[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)


def _check_path(name: str, kind: str, path: str, modules: Mapping[str, nn.Module]) -> None:
    if not path or path not in modules:
        raise ValueError(
            f"The {kind} of modality {name!r} should be the path of a module of the model; found "
            f"{path!r}.{suggestion(path, modules)} See `model.named_modules()` for the paths."
        )


def _unique(modules: Iterable[nn.Module]) -> list[nn.Parameter]:
    return list(dict.fromkeys(p for module in modules for p in module.parameters()))
