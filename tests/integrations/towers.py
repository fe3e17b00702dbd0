"""A model of two towers as Hugging Face's are, and data for it."""

from typing import ClassVar

import datasets
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, TrainingArguments
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import SequenceClassifierOutput

import counterpoise as cp

NAMES = ("left", "right")
SIZES = (3, 5)
ENCODERS = {"left": "left_tower", "right": "right_tower"}


class TowersConfig(PreTrainedConfig):
    model_type = "towers"

    def __init__(self, width=7, **others):
        self.width = width
        super().__init__(**{"tie_word_embeddings": True, **others})


class Tower(GradientCheckpointingLayer):
    def __init__(self, size, width):
        super().__init__()
        self.first, self.norm = nn.Linear(size, width), nn.LayerNorm(width)

    def forward(self, hidden):
        return torch.relu(self.norm(self.first(hidden)))


class Towers(PreTrainedModel):
    """Two towers with one tied weight, which answer as Hugging Face's models do."""

    config_class = TowersConfig
    supports_gradient_checkpointing = True
    _tied_weights_keys: ClassVar = {"right_projection.weight": "left_projection.weight"}

    def __init__(self, config):
        super().__init__(config)
        self.left_tower = Tower(SIZES[0], config.width)
        self.right_tower = Tower(SIZES[1], config.width)
        self.left_projection = nn.Linear(config.width, config.width)
        self.right_projection = nn.Linear(config.width, config.width)
        self.classifier = nn.Linear(2 * config.width, 2)
        self.post_init()

    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.3)
            nn.init.zeros_(module.bias)

    def forward(self, left, right, labels=None):
        left = self.left_projection(self.left_tower(left))
        right = self.right_projection(self.right_tower(right))
        logits = self.classifier(torch.cat([left, right], dim=1))
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)


class Plain(nn.Module):
    """Two encoders of no library, whose second layers are one."""

    def __init__(self):
        super().__init__()
        shared = nn.Linear(7, 7)
        self.left_tower = nn.Sequential(nn.Linear(SIZES[0], 7), nn.ReLU(), nn.Linear(7, 7))
        self.right_tower = nn.Sequential(nn.Linear(SIZES[1], 7), nn.ReLU(), nn.Linear(7, 7))
        self.left_head, self.right_head = shared, shared
        self.classifier = nn.Linear(14, 2)

    def forward(self, left, right):
        left, right = self.left_tower(left), self.right_tower(right)
        return self.classifier(torch.cat([self.left_head(left), self.right_head(right)], dim=1))


def logits_of(answer):
    return answer.logits


def towers(method=None, *, seed=0, **options):
    torch.manual_seed(seed)
    model = Towers(TowersConfig())
    return cp.Balanced(
        model,
        ENCODERS,
        cp.AGM(alpha=1.7) if method is None else method,
        select=logits_of,
        **options,
    )


def table(num_rows=28, seed=0):
    """Rows with a column that no model takes."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(num_rows, SIZES[0], generator=generator)
    right = torch.randn(num_rows, SIZES[1], generator=generator)
    labels = (left.sum(1) + 0.3 * right.sum(1) > 0).long()
    columns = {"left": left, "right": right, "labels": labels, "note": torch.arange(num_rows)}
    return datasets.Dataset.from_dict({k: v.tolist() for k, v in columns.items()})


def tensors(data):
    return {name: torch.tensor(data[name][:]) for name in (*NAMES, "labels")}


def arguments(folder, **options):
    """Settings under which a run is plain: no progress bar, no shuffling by length, one device."""
    given = {
        "per_device_train_batch_size": 7,
        "per_device_eval_batch_size": 5,
        "num_train_epochs": 1,
        "learning_rate": 0.1,
        "optim": "sgd",
        "max_grad_norm": 0.0,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "seed": 3,
        "dataloader_pin_memory": False,
    }
    return TrainingArguments(str(folder), **{**given, **options})
