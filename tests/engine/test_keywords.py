"""Keywords that are no tensors, switch the model over, or are taken apart by it."""

from enum import Enum

import numpy as np
import pytest
import torch
from torch import nn

from zoo.judging import PRECISIONS, judge
from zoo.kinds import CLASSES, ROWS, THREE, WIDTH, Concat, Kind, draw, head, mlp, vectors, wired
from zoo.refusals import CLOSE, LEVELS, REPLAYING, wrap

EAR = {"ear": "ear", "eye": "eye"}


def assert_right(kind, level, num_steps):
    assert judge(kind, level, PRECISIONS["float64"], num_steps=num_steps) == "right"


class Task(Enum):
    EASY, HARD = 0, 1


SWITCHES = {
    "enum": Task,
    "list": lambda task: [task],
    "dict": lambda task: {"task": {"number": task}},
    "array": np.int64,
    "tensor": torch.tensor,
}


class Switched(nn.Module):
    """A sum, or for another task a fusion that couples the modalities."""

    def __init__(self):
        super().__init__()
        self.sum, self.coupled = Concat(nn.Linear(3 * WIDTH, CLASSES)), head(3)

    def forward(self, *features, task):
        return (self.coupled if "1" in repr(task) else self.sum)(*features)


def switched(make):
    """Return batches in which every third has another task: no power of two is among them."""

    def batch(step):
        return vectors(THREE)(step)._replace(others={"task": make(int(step % 3 == 2))})

    return batch


@pytest.mark.parametrize("make", SWITCHES.values(), ids=SWITCHES.keys())
def test_a_switch_may_be_of_any_plain_kind(make):
    assert_right(wired(Switched, THREE, batch=switched(make)), "shared", 4)


class Lengths(nn.Module):
    """Takes the mean of each row up to its length; an entry of a list is looked up by row."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.rest = nn.Linear(5, WIDTH), mlp(11), head()

    def forward(self, ear, eye, lengths):
        given = list(zip(torch.tanh(self.ear(ear)), lengths, strict=False))
        heard = torch.stack([row[: int(n)].mean(dim=0) for row, n in given])
        return self.rest(heard, self.eye(eye))


def with_lengths(kind):
    """Return batches with lengths beside them; the first is unpadded."""

    def batch(step):
        generator = torch.Generator().manual_seed(step)
        lengths = torch.randint(1, 6, (ROWS,), generator=generator).tolist()
        others = {"lengths": kind([5] * ROWS if step == 0 else lengths)}
        return draw(step, ear=(5, 5), eye=(11,))._replace(others=others)

    return batch


LISTS = {
    "list": list,
    "array": np.array,
    "tensors": lambda lengths: [torch.tensor(n) for n in lengths],
}


@pytest.mark.parametrize("kind", LISTS.values(), ids=LISTS.keys())
@pytest.mark.parametrize("level", REPLAYING)
def test_a_list_with_an_entry_for_each_sample_is_not_cut(level, kind):
    assert_right(Kind(Lengths, with_lengths(kind), EAR), level, 3)


class Popping(nn.Module):
    """Takes apart what it is given."""

    def __init__(self):
        super().__init__()
        self.ear, self.eye, self.rest = nn.Linear(5, WIDTH), mlp(11), head()

    def forward(self, ear, eye, options):
        return self.rest(self.ear(ear.pop("x")) * ear.pop("gain"), self.eye(eye)) * options.pop()


@pytest.mark.parametrize("level", LEVELS)
def test_a_model_may_take_its_containers_apart(level):
    torch.manual_seed(5)
    balanced = wrap(Popping(), level, encoders=EAR)
    inputs, target, _ = vectors()(0)
    ear, options = {"x": inputs["ear"], "gain": torch.ones(ROWS, 1)}, [2.0]
    for _ in range(2):
        out = balanced(ear=ear, eye=inputs["eye"], options=options, target=target)
        torch.testing.assert_close(out.responses.sum(dim=0), out.logits, **CLOSE)
    assert list(ear) == ["x", "gain"]
    assert options == [2.0]
