"""Questions about modality competition that the tool answers by experiment.

``counterpoise study NAME`` runs one; see :data:`STUDIES` for their names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from counterpoise.studies.study import Study

__all__ = ["STUDIES", "study_class"]

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


def study_class(name: str) -> type[Study]:
    """Return the class of a study.

    Raises:
        ValueError: If there is none of the name; the nearest is suggested.
    """
    from counterpoise.errors import check_choice

    check_choice("name", name, tuple(STUDIES))
    found: type[Study] = getattr(import_module(f"counterpoise.studies.{name}"), STUDIES[name])
    return found
