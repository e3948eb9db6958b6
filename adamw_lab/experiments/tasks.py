"""The tasks that the studies train on: what fits a laptop (cpu), and what it stands for (gpu)."""

from collections.abc import Mapping
from typing import Any

# One thread a run: as many runs side by side as there are cores, the same numbers however many.
LAPTOP = {"device": "cpu", "precision": "float32", "threads": 1}
TASKS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "resnet18": {
        "cpu": {**LAPTOP, "model": "resnet18", "dataset": "digits", "model_options": {"width": 0.25}, "epochs": 6},
        "gpu": {"model": "resnet18", "dataset": "cifar10", "epochs": 50, "batch_size": 128},
    },
    "fashion": {
        "cpu": {**LAPTOP, "model": "resnet18", "dataset": "fashion_mnist", "model_options": {"width": 0.25},
                "image_size": 14, "train_size": 6000, "epochs": 3},
        "gpu": {"model": "resnet18", "dataset": "fashion_mnist", "epochs": 30, "batch_size": 128},
    },
    "resnet50": {
        "cpu": {**LAPTOP, "model": "resnet50", "dataset": "digits", "model_options": {"width": 0.25}, "epochs": 8},
        "gpu": {"model": "resnet50", "dataset": "cifar100", "epochs": 50, "batch_size": 128},
    },
    "lstm": {
        "cpu": {**LAPTOP, "model": "lstm", "dataset": "adding_problem", "model_options": {"hidden": 32},
                "data_options": {"length": 10}, "epochs": 4},
        "gpu": {"model": "lstm", "dataset": "adding_problem", "model_options": {"hidden": 128},
                "data_options": {"length": 100}, "train_size": 100_000, "epochs": 10},
    },
    "gpt": {
        "cpu": {**LAPTOP, "model": "gpt", "dataset": "pydoc_text", "model_options": {"layers": 2, "width": 64},
                "data_options": {"context": 32}, "train_size": 51_201, "batch_size": 16, "epochs": 3},
        "gpu": {"model": "gpt", "dataset": "pydoc_text", "model_options": {"layers": 6, "width": 384, "heads": 6},
                "data_options": {"context": 256}, "batch_size": 64, "epochs": 60},
    },
}
"""task -> profile -> settings. The adding problem has 10,000 sequences, an epoch of the text 100 steps."""
SECONDS = {"resnet18": 7.0, "fashion": 12.0, "resnet50": 18.0, "lstm": 5.0, "gpt": 7.5}
"""Measured seconds of a run of the cpu profile on one core of a quiet two-core machine."""
