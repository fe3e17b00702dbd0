"""The forms that a model takes while it is trained: its modules, and switches set on them.

What was concluded of one form need not hold of another: a head is replaced, a stage of training
begins, and ``model.fuse_early = True`` makes another network of the same weights.
"""

from __future__ import annotations

from typing import Any

from counterpoise.engine.modes import Modules

MANY = 16
"""A model that takes more forms than this is taken to change with every batch, and not watched;
so is a number that moved this often."""


class Forms:
    """Tells the forms of a model apart.

    Switches and names tell forms. A number may: a stage or a task does, a count of calls or a
    rate that is lowered does not. So where one has moved the model is to be looked at again.

    Attributes:
        number: Of the present form; the same form has the same number.
        moved: Whether a number that a module keeps is another than when the model was looked at;
            who looks sets it back.
    """

    def __init__(self) -> None:
        self.number, self.moved = 0, False
        self._modules: Modules | None = None
        self._parts = 0
        self._known: dict[tuple[int | bool | str, ...], int] = {}
        self._plain: list[Any] = []
        self._moves: dict[int, int] = {}

    def recognise(self, modules: Modules) -> None:
        """Find out which form a model has now.

        Args:
            modules: Of the model; the same object as long as they are the same.
        """
        plain = [
            value
            for module in modules.own
            for name, value in module.__dict__.items()
            if type(value) in _PLAIN and name != "training"
        ]
        before, self._plain = self._plain, plain
        if modules is not self._modules:
            self._modules, self._parts = modules, min(self._parts + 1, MANY)
        elif plain == before:
            return
        else:
            self._count_moves(before)
        form = (self._parts, *(value for value in plain if type(value) in _SWITCHES))
        many = form not in self._known and len(self._known) >= MANY
        self.number = MANY if many else self._known.setdefault(form, len(self._known))

    def _count_moves(self, before: list[Any]) -> None:
        if len(before) != len(self._plain):  # one was added, or is of another type
            before = [None] * len(self._plain)
        for place, (old, new) in enumerate(zip(before, self._plain, strict=True)):
            if old != new and type(new) not in _SWITCHES:
                moves = self._moves[place] = self._moves.get(place, 0) + 1
                self.moved = self.moved or moves <= MANY


_SWITCHES = (bool, str)
_PLAIN = frozenset([bool, str, int, float])
