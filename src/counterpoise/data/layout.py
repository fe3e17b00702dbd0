"""Which entries of a sample or batch from outside are modalities, and which is the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterpoise.core.errors import check_names, check_text, described, suggestion
from counterpoise.data.contract import TARGET, Batch

Modalities = Sequence[str] | Mapping[str, str | Sequence[str]]
"""Names of entries; or names of modalities, each with its entry or, for a pytree, its entries."""


@dataclass(frozen=True)
class Layout:
    """Arranges samples or batches as the contract has them: modalities, others, ``target``.

    Args:
        modalities: Which entries are modalities, in the order that they shall have; or a mapping
            of modalities to their entry, or to several, which become a pytree. Default: all
            entries but the target.
        target: The entry that holds the labels.
        others: Further entries, which the model takes beside its modalities.
        fields: Names of the entries where samples or batches are tuples.

    Example:
        >>> layout = Layout({"text": ("ids", "mask"), "image": "pixels"}, target="label")
        >>> layout.arrange({"ids": 1, "mask": 2, "pixels": 3, "label": 4, "file": 5})
        {'text': {'ids': 1, 'mask': 2}, 'image': 3, 'target': 4}
        >>> Layout(fields=("image", "target")).arrange((1, 2))
        {'image': 1, 'target': 2}
    """

    modalities: Modalities | None = None
    target: str = TARGET
    others: Sequence[str] = ()
    fields: Sequence[str] | None = None

    def __post_init__(self) -> None:
        check_text("target", self.target)
        check_names("others", self.others, at_least=0)
        if self.fields is not None:
            check_names("fields", self.fields, at_least=2)
        if self.modalities is None:
            return
        named = [*self.modalities] if isinstance(self.modalities, Mapping) else self.modalities
        check_names("modalities", named)
        if TARGET in self.modalities:
            raise ValueError(
                f"`modalities` should not be named {TARGET!r}, the key of the labels; found "
                f"{', '.join(map(repr, self.modalities))}. Rename it."
            )

    def names(self, arranged: Batch) -> tuple[str, ...]:
        """Return the names of the modalities in a batch that was arranged."""
        if self.modalities is not None:
            return tuple(self.modalities)
        return tuple(name for name in arranged if name != TARGET and name not in self.others)

    def arrange(self, batch: Any) -> Batch:
        """Return a sample or batch with the modalities in their order, then others, then target.

        Raises:
            TypeError: If it is neither a mapping nor a tuple with fields.
            ValueError: If an entry is missing, or there are more or fewer fields.
        """
        entries = self._named(batch)
        modalities = self.modalities
        if modalities is None:
            modalities = [n for n in entries if n != self.target and n not in self.others]
        parts = modalities if isinstance(modalities, Mapping) else {n: n for n in modalities}
        arranged = {name: self._pick(entries, entry) for name, entry in parts.items()}
        arranged |= {name: self._pick(entries, name) for name in self.others}
        return {**arranged, TARGET: self._pick(entries, self.target)}

    def _pick(self, entries: Mapping[str, Any], entry: str | Sequence[str]) -> Any:
        if not isinstance(entry, str):
            return {name: self._pick(entries, name) for name in entry}
        if entry not in entries:
            raise ValueError(
                f"Samples should have an entry {entry!r}; found {', '.join(map(repr, entries))}. "
                "Say by `modalities`, `others` and `target` what the entries are called."
                + suggestion(entry, entries)
            )
        return entries[entry]

    def _named(self, batch: Any) -> Mapping[str, Any]:
        if isinstance(batch, Mapping):
            return batch
        if not isinstance(batch, (tuple, list)) or self.fields is None:
            raise TypeError(
                "Samples should be mappings of modalities and target, or tuples; found "
                f"{described(batch)}. Return a dictionary, or name the entries of a tuple by "
                "`fields`."
            )
        if len(batch) != len(self.fields):
            raise ValueError(
                f"`fields` should name the {len(batch)} entries of a sample; found "
                f"{', '.join(map(repr, self.fields))}. Name each."
            )
        return dict(zip(self.fields, batch, strict=True))
