"""What `adamw-lab doctor` reports: what is installed here and what will be used."""

import platform
from collections.abc import Iterator
from pathlib import Path

import torch

import adamw_lab
from adamw_lab.data import DATASETS, present
from adamw_lab.optim.kernels.dispatch import choose_kernel
from adamw_lab.provenance import hardware, installed

PACKAGES = ("torch", "torchvision", "numba", "triton", "papermill", "jupyterlab", "ray", "pytorch_optimizer")


def findings() -> Iterator[tuple[str, str]]:
    """Rows of name and value."""
    yield "adamw-lab", f"{adamw_lab.__version__} in {Path(adamw_lab.__file__).parent}"
    yield "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    for package in PACKAGES:
        yield package, installed(package)
    yield "torch build", f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    yield "hardware", hardware()
    yield "threads", f"{torch.get_num_threads()} of torch"
    for device in devices():
        yield device, f"the {choose_kernel([torch.zeros(1, device=device)])} kernel serves float32 here"
    for name in DATASETS:
        if name == "imagefolder":  # the user's own
            continue
        yield name, "here" if present(name) else f"not here; to get it: adamw-lab data {name}"


def devices() -> list[str]:
    """The devices that torch can use here, as it names them."""
    gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]
