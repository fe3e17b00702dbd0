"""The forms that a model takes while it is trained: its modules, and switches set on them.

What was concluded of one form need not hold of another: a head is replaced, a stage of training
begins, and ``model.fuse_early = True`` makes another network of the same weights.
"""

from __future__ import annotations

from counterpoise.engine.modes import Modules

MANY = 16
"""A model that takes more forms than this is taken to change with every batch, and not watched."""


class Forms:
    """Tells the forms of a model apart."""

    def __init__(self) -> None:
        self._modules: Modules | None = None
        self._parts = 0
        self._known: dict[tuple[int | bool | str, ...], int] = {}

    def number(self, modules: Modules) -> int:
        """Return the number of the form that a model has now; the same form has the same number.

        Numbers, and what else a module keeps, are not looked at: they may change with every batch.

        Args:
            modules: Of the model; the same object as long as they are the same.
        """
        if modules is not self._modules:
            self._modules, self._parts = modules, min(self._parts + 1, MANY)
        switches = [
            value
            for module in modules.own
            for name, value in module.__dict__.items()
            if (type(value) is bool or type(value) is str) and name != "training"
        ]
        form = (self._parts, *switches)
        if form not in self._known and len(self._known) >= MANY:
            return MANY
        return self._known.setdefault(form, len(self._known))
