"""How a user says what belongs to a modality, and how coalitions are to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from torch.utils._pytree import tree_leaves

from counterpoise.core.absence import Absence
from counterpoise.core.coalitions import ATTRIBUTIONS, Sampling
from counterpoise.core.errors import check_choice, described
from counterpoise.core.pytree import PyTree

LEVELS = ("inputs", "features", "shared")
STATISTICS = ("batch", "running")


@dataclass(frozen=True)
class Modality:
    """What belongs to one modality in a model, by module path.

    Args:
        encoder: Path of the module whose output is the modality's feature. Lets the engine
            replay features, which is cheaper, and methods act on the encoder.
        head: Path of the modality's own head where the fusion is additive, that is where the
            heads' outputs add up to the logits: unimodal logits are then taken from it.
        branch: Path or paths of all that the modality owns, for methods that act on a
            modality's learning rate or weights. Default: its encoder and its head.
        absent: What stands in for the modality when it is absent, an absence or a tree of them;
            zeros by default. See :mod:`counterpoise.absence`.

    Example:
        >>> Modality("audio_net", head="audio_head").branch is None
        True
    """

    encoder: str | None = None
    head: str | None = None
    branch: str | Sequence[str] | None = None
    absent: PyTree = None

    def __post_init__(self) -> None:
        for name in ("encoder", "head"):
            path = getattr(self, name)
            if not (path is None or (isinstance(path, str) and path)):
                raise TypeError(
                    f"`{name}` should be the path of a module, such as 'audio_net'; found "
                    f"{described(path)}. See `model.named_modules()` for the paths."
                )
        paths = [self.branch] if isinstance(self.branch, str) else self.branch
        if paths is not None and not (
            isinstance(paths, Sequence) and paths and all(isinstance(p, str) and p for p in paths)
        ):
            raise TypeError(
                f"`branch` should be the path of a module or several of them; found "
                f"{described(self.branch)}. See `model.named_modules()` for the paths."
            )
        for leaf in tree_leaves(self.absent):
            if not (leaf is None or isinstance(leaf, Absence)):
                raise TypeError(
                    f"`absent` should be an absence, or a pytree of them; found {described(leaf)}. "
                    "Wrap a value that stands in as cp.absence.Constant(value)."
                )


@dataclass(frozen=True)
class Coalitions:
    """How the values of coalitions are evaluated and what is made of them.

    Args:
        level: "inputs": whole-model passes, right for any model. "features": the same numbers,
            each encoder run twice. "shared": each encoder run once, which differs where an
            encoder is random in train mode (dropout). Default: "shared" where encoders are
            known, else "inputs".
        statistics: "batch": every normalisation layer uses, in all coalitions, the batch
            statistics of the full pass. "running": the other coalitions use its running
            statistics, as published, which ruins networks with batch-norm.
        attribution: "shapley" (published), "leave_one_out" or "alone".
        sampling: Estimate Shapley values by ``Sampling(num_passes=...)`` instead of evaluating
            all 2^M - 1 coalitions. Beyond 8 modalities this is done in any case, with a warning
            that states the number of passes unless ``sampling`` is given.

    Raises:
        ValueError: If a name is none of these.
        TypeError: If ``sampling`` is no ``Sampling``.

    Example:
        >>> Coalitions("inputs", statistics="running").attribution
        'shapley'
    """

    level: str | None = None
    statistics: str = "batch"
    attribution: str = "shapley"
    sampling: Sampling | None = None

    def __post_init__(self) -> None:
        if self.level is not None:
            check_choice("level", self.level, LEVELS)
        check_choice("statistics", self.statistics, STATISTICS)
        check_choice("attribution", self.attribution, tuple(ATTRIBUTIONS))
        if not (self.sampling is None or isinstance(self.sampling, Sampling)):
            raise TypeError(
                "`sampling` should be a cp.Sampling(num_passes=...) or None; found "
                f"{described(self.sampling)}. Make one, or leave it out."
            )


def coalitions_of(given: Coalitions | str | None, *, encoders_known: bool) -> Coalitions:
    """Return how coalitions are evaluated, with a level.

    Args:
        given: As the user says: an object, a level's name, "published" for the paper's own
            evaluation, or None for the default.
        encoders_known: Whether every modality has an encoder.
    """
    if given is None:
        given = Coalitions()
    if isinstance(given, str):
        check_choice("coalitions", given, (*LEVELS, "published"))
        if given == "published":
            given = Coalitions("features" if encoders_known else "inputs", statistics="running")
        else:
            given = Coalitions(given)
    if not isinstance(given, Coalitions):
        raise TypeError(
            "`coalitions` should be a cp.Coalitions, the name of a level or 'published'; found "
            f"{described(given)}. Pass for example cp.Coalitions(level='shared')."
        )
    if given.level is not None:
        return given
    level = "shared" if encoders_known else "inputs"
    return Coalitions(level, given.statistics, given.attribution, given.sampling)


class Named(NamedTuple):
    """What a user says of all modalities, by kind.

    Attributes:
        names: In order.
        encoders: Modality to path, where given.
        heads: Modality to path, where given.
        branches: Modality to path or paths, where given; None if nowhere.
        absent: Modality to absence, where given.
    """

    names: tuple[str, ...]
    encoders: dict[str, str]
    heads: dict[str, str]
    branches: dict[str, str | Sequence[str]] | None
    absent: dict[str, Any]


def named(modalities: Sequence[str] | Mapping[str, str | Modality]) -> Named:
    """Read names, or names with encoder paths, or names with a :class:`Modality` each.

    Raises:
        TypeError: If it is none of these.
        ValueError: If there are not two or more different names.
    """
    given = _mapping(modalities)
    names = tuple(given)
    if len(names) < 2:
        raise ValueError(
            f"`modalities` should name two or more; found {len(names)}. One modality has "
            "nobody to compete with: train the model as it is."
        )
    if "target" in names:
        raise ValueError(
            "`modalities` should leave the name 'target' to the labels; found it among them. "
            "Rename the modality in the model's forward."
        )
    parts: dict[str, dict[str, Any]] = {
        field.name: {
            name: getattr(modality, field.name)
            for name, modality in given.items()
            if getattr(modality, field.name) is not None
        }
        for field in fields(Modality)
    }
    return Named(names, parts["encoder"], parts["head"], parts["branch"] or None, parts["absent"])


def _mapping(modalities: Any) -> dict[str, Modality]:
    remedy = (
        'Pass for example ("audio", "image"), {"audio": "audio_net", "image": "image_net"} with '
        'the paths of encoders, or {"audio": cp.Modality(encoder="audio_net"), ...}.'
    )
    if isinstance(modalities, Mapping):
        given = {}
        for name, value in modalities.items():
            if not (isinstance(name, str) and name and isinstance(value, (str, Modality))):
                raise TypeError(
                    "`modalities` should map names to paths of encoders or to cp.Modality; found "
                    f"{name!r}: {described(value)}. {remedy}"
                )
            given[name] = Modality(encoder=value) if isinstance(value, str) else value
        return given
    listed = isinstance(modalities, Sequence) and not isinstance(modalities, str)
    if not listed or not all(isinstance(name, str) and name for name in modalities):
        raise TypeError(f"`modalities` should be names; found {described(modalities)}. {remedy}")
    for name in modalities:
        if list(modalities).count(name) > 1:
            raise ValueError(
                f"`modalities` should differ from each other; found {name!r} twice. Remove one."
            )
    return {name: Modality() for name in modalities}
