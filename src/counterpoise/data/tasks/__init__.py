"""Tasks: outputs, loss, score, metrics and the level of guessing."""

from counterpoise.data.tasks.classification import Classification, task_of
from counterpoise.data.tasks.forms import MetricForm
from counterpoise.data.tasks.multilabel import MultiLabel
from counterpoise.data.tasks.regression import Regression
from counterpoise.data.tasks.segments import Segments
from counterpoise.data.tasks.task import Task

__all__ = [
    "Classification",
    "MetricForm",
    "MultiLabel",
    "Regression",
    "Segments",
    "Task",
    "task_of",
]
