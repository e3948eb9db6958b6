"""Every recipe trains a step on images in the format of its data set, written here."""

import io
import pickle
import tarfile

import numpy as np
import pytest

from adamw_lab.training import fit
from adamw_lab.training.recipes import RECIPES, recipe

ARCHIVES = {"cifar10": ("cifar-10-python.tar.gz", "cifar-10-batches-py", 10),
            "cifar100": ("cifar-100-python.tar.gz", "cifar-100-python", 100)}


def write_archive(name, folder, per_class=4):
    """The archive of CIFAR, with a few random images a class."""
    archive, inner, classes = ARCHIVES[name]
    pixels = np.random.default_rng(0)
    key = b"labels" if name == "cifar10" else b"fine_labels"
    names = {b"label_names": [b"class"] * classes} if name == "cifar10" else {b"fine_label_names": [b"class"] * classes}
    parts = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"] if name == "cifar10" else ["train", "test"]
    files = {part: {b"data": pixels.integers(0, 256, (classes * per_class, 3072), dtype=np.uint8),
                    key: [i % classes for i in range(classes * per_class)]} for part in parts}
    files["batches.meta" if name == "cifar10" else "meta"] = names
    with tarfile.open(folder / archive, "w:gz") as tar:
        for part, content in files.items():
            data = pickle.dumps(content)
            info = tarfile.TarInfo(f"{inner}/{part}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains(name, tmp_path):
    config = recipe(name, epochs=1, data_root=str(tmp_path), device="cpu", train_size=100, batch_size=100, threads=1,
                    model_options={"width": 0.125})
    write_archive(config.dataset, tmp_path)
    result = fit(config, progress=False)
    assert result.summary["steps"] == 1
    assert config.lr == RECIPES[name]["lr"] and config.weight_decay == RECIPES[name]["weight_decay"]


def test_an_unknown_recipe_is_refused():
    with pytest.raises(ValueError, match=r"unknown recipe 'cifar10_resnet18'; allowed: .*Did you mean"):
        recipe("cifar10_resnet18")
