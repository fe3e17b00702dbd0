"""Wrong calls of the public API: each is refused at once, with the message that is written down.

A row is a call that works, an argument of it, and values that the argument must not have. After a
change of messages: ``python tests/wrong_calls/table.py``, and read what has changed.
"""

import re
from functools import partial

import pytest

from counterpoise import data, training
from counterpoise.experiments import compare, compete, study
from counterpoise.report import write_log_report, write_run_report
from wrong_calls.table import CALLS, ROWS, calls_of, messages, title, written

NUMBERS = pytest.mark.parametrize("number", range(len(ROWS)), ids=title)

# What is wrong is said of the thing by its own name, where the argument is not the thing.
ABOUT = {
    "by_position": "given by keyword",
    "Balanced": "encoder",
    "UnimodalModel": "encoder",
    "candidates": "in the grid",
    "coalition_logits": "Modality",
    "Module": "`model`",
    "Store": "`runs`",
    "MultimodalDataset": "`a",
    "read_samples": "Samples",
    "loaders": "Samples",
}
HEADS = ("Transformer", "FirstStateTransformer", "CrossAttention", "JointEncoding")


def test_there_are_enough():
    assert len(CALLS) >= 2500


@NUMBERS
def test_wrong_value_is_refused_in_one_line_as_written(number):
    answers = [(call, call.answer()) for call in calls_of(ROWS[number])]
    assert "\n".join(messages(answers)) == written()[title(number)]
    for call, answer in answers:
        assert re.match(r"(ValueError|TypeError): .* should .*[;:,]? found .*[.?]\)?$", answer), (
            answer
        )
        assert "\n" not in answer
        assert " at 0x" not in answer
        named = (call.argument, ABOUT.get(call.function.__name__, call.argument))
        about = call.function.__name__ in HEADS or re.search("[Bb]atch|paths", answer)
        assert about or any(name in answer for name in named), answer


SLOW = (  # which train, or read or write files
    *(training.train, data.load, compare.compare, compare.read_grid, compete.compete),
    *(study.observe, write_run_report, write_log_report),
)
RIGHT = {
    title(number): partial(function, **right)
    for number, (function, right, _) in enumerate(ROWS)
    if function not in SLOW
}


@pytest.mark.parametrize("call", RIGHT.values(), ids=RIGHT)
def test_the_call_is_wrong_in_that_value_alone(call):
    call()
