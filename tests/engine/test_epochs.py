"""The share of labels that are right, and the modes of parts, by hand."""

import pytest
import torch
from torch import nn

from counterpoise.engine.epochs import in_eval_mode, right_share


def test_the_share_of_right_labels_leaves_out_those_that_are_negative():
    logits = torch.eye(3)[torch.tensor([0, 1, 2, 0])]
    assert right_share(logits, torch.tensor([0, 2, -1, 0])).item() == pytest.approx(2 / 3)
    assert right_share(logits, torch.tensor([-1, -1, -1, 0])) == 1
    assert right_share(logits, torch.full((4,), -1)) == 0
    of_segments = logits.unsqueeze(2).expand(4, 3, 5)
    labels = torch.tensor([0, 2, -1, 0]).unsqueeze(1).expand(4, 5)
    assert right_share(of_segments, labels).item() == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("logits", "target"),
    [
        (torch.ones(4, 3), torch.ones(4)),
        (torch.ones(4, 3), torch.ones(4, 3, dtype=torch.long)),
        (torch.ones(4, 3), torch.ones(3, dtype=torch.long)),
        (torch.ones(4), torch.ones(4, dtype=torch.long)),
        (torch.ones(4, 1), torch.ones(4, dtype=torch.long)),
        (torch.ones(4, 3), {"labels": torch.ones(4, dtype=torch.long)}),
    ],
)
def test_without_class_labels_no_share_is_right(logits, target):
    assert right_share(logits, target).isnan()


def test_every_part_gets_its_own_mode_back_also_after_an_error():
    module = nn.Sequential(nn.Linear(2, 3), nn.Dropout())
    module[1].eval()
    with pytest.raises(KeyError), in_eval_mode(module):  # noqa: PT012
        assert not any(part.training for part in module.modules())
        assert not torch.is_grad_enabled()
        raise KeyError
    assert [part.training for part in module.modules()] == [True, True, False]
