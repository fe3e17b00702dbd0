"""Questions about modality competition that the tool answers by experiment.

``counterpoise study NAME`` runs one; :data:`STUDIES` has their names. A study of your own is a
subclass of :class:`Study`. Everything is imported when it is first asked for: a study needs what
training does.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from counterpoise.core.errors import check_choice

if TYPE_CHECKING:
    from counterpoise.experiments.study.findings import Findings, Quantity, Results
    from counterpoise.experiments.study.observations import Observations
    from counterpoise.experiments.study.observing import observe
    from counterpoise.experiments.study.study import Case, Study
    from counterpoise.experiments.study.synthetic_settings import Rescaled
    from counterpoise.experiments.trained import Trained
    from counterpoise.measures.statistics import correlation, mean_correlation, rank_correlation

_LAZY = {
    "Case": ".study",
    "Findings": ".findings",
    "Observations": ".observations",
    "Quantity": ".findings",
    "Rescaled": ".synthetic_settings",
    "Results": ".findings",
    "Study": ".study",
    "Trained": "counterpoise.experiments.trained",
    "correlation": "counterpoise.measures.statistics",
    "mean_correlation": "counterpoise.measures.statistics",
    "observe": ".observing",
    "rank_correlation": "counterpoise.measures.statistics",
}

__all__ = [
    "STUDIES",
    "Case",
    "Findings",
    "Observations",
    "Quantity",
    "Rescaled",
    "Results",
    "Study",
    "Trained",
    "correlation",
    "mean_correlation",
    "observe",
    "rank_correlation",
    "study_class",
]

STUDIES = {
    "responses": "Responses",
    "reliance": "Reliance",
    "shifts": "Shifts",
    "initialisations": "Initialisations",
    "fusions": "Fusions",
    "agreement": "Agreement",
    "attributions": "Attributions",
    "references": "References",
    "scores": "Scores",
}
"""By the name of each study, which is that of its module, the name of its class."""


def study_class(name: str) -> "type[Study]":
    """Return the class of a study.

    Args:
        name: A key of :data:`STUDIES`.

    Raises:
        ValueError: If there is none of the name; the nearest is suggested.

    Example:
        >>> study_class("shifts").question
        'Running average against fixed reference: what if strengths shift during training?'
    """
    check_choice("name", name, tuple(STUDIES))
    study: type[Study] = getattr(import_module(f"{__name__}.{name}"), STUDIES[name])
    return study


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name], __name__), name)
