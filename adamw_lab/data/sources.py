"""Where images come from: scikit-learn's digits, Fashion-MNIST's and CIFAR's files, found or downloaded."""

import gzip
import io
import os
import pickle
import struct
import sys
import tarfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from adamw_lab.data.batches import Split
from adamw_lab.suggest import did_you_mean

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
_FASHION_FILES = {"train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
                  "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")}
_FASHION_CLASSES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
                    "ankle boot")
_MEND = {
    "fashion_mnist": "apt-get install dataset-fashion-mnist, or adamw-lab data fashion_mnist",
    "cifar10": "adamw-lab data cifar10",
    "cifar100": "adamw-lab data cifar100",
}


NAMES = ("digits", *_MEND)


def data_root(root: str | Path | None) -> Path:
    """The folder of downloaded data: `root`, else the variable ADAMW_LAB_DATA, else `data` in the current folder."""
    return Path(root or os.environ.get("ADAMW_LAB_DATA") or "data")


def read_digits() -> tuple[Split, None, tuple[str, ...]]:
    """scikit-learn's 1,797 digits of 8x8 pixels; they come without a test split."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(np.round(digits.images * (255 / 16)).astype(np.uint8))[:, None]
    return Split(images, torch.from_numpy(digits.target.astype(np.int64))), None, tuple(map(str, range(10)))


def read_fashion_mnist(root: Path) -> tuple[Split, Split, tuple[str, ...]]:
    """Fashion-MNIST (arXiv 1708.07747): 60,000 and 10,000 grey images of 28x28 pixels."""
    folder = fashion_folder(root)
    splits = {}
    for split, names in _FASHION_FILES.items():
        images, labels = (_read_idx(folder / name) for name in names)
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise _corrupt("fashion_mnist", folder / names[0], f"{len(images)} images, {len(labels)} labels")
        splits[split] = Split(images[:, None], labels.long())
    _check_labels("fashion_mnist", folder, splits, 10)
    return splits["train"], splits["test"], _FASHION_CLASSES


def fashion_folder(root: Path) -> Path | None:
    """The first folder that holds Fashion-MNIST: under `root` as torchvision keeps it, or Debian's; None: neither."""
    folders = (root / "FashionMNIST" / "raw", root, DEBIAN_FASHION)
    wanted = [name for names in _FASHION_FILES.values() for name in names]
    return next((f for f in folders if all((f / name).is_file() for name in wanted)), None)


def read_cifar(name: str, root: Path) -> tuple[Split, Split, tuple[str, ...]]:
    """CIFAR-10 or CIFAR-100 (fine labels) from the archive of its "python version": colour, 32x32 pixels."""
    spec = CIFAR[name]
    archive = root / spec["archive"]
    try:
        with tarfile.open(archive, "r:gz") as tar:
            files = {Path(m.name).name: tar.extractfile(m).read() for m in tar if m.isfile()}
        rows = {split: [_unpickle(files[file]) for file in spec[split]] for split in ("train", "test")}
        classes = tuple(_text(c) for c in _unpickle(files[spec["meta"]])[spec["names"]])
        splits = {split: _cifar_split(batches, spec["labels"]) for split, batches in rows.items()}
    except (tarfile.TarError, EOFError, zlib.error, OSError, pickle.UnpicklingError, AttributeError, LookupError,
            TypeError, ValueError) as e:
        raise _corrupt(name, archive, repr(e)) from e
    _check_labels(name, archive, splits, len(classes))
    return splits["train"], splits["test"], classes


CIFAR = {
    "cifar10": dict(archive="cifar-10-python.tar.gz", train=[f"data_batch_{i}" for i in range(1, 6)],
                    test=["test_batch"], meta="batches.meta", names="label_names", labels="labels"),
    "cifar100": dict(archive="cifar-100-python.tar.gz", train=["train"], test=["test"], meta="meta",
                     names="fine_label_names", labels="fine_labels"),
}


def fetch(name: str, root: str | Path | None = None) -> Path:
    """Download a data set by torchvision, unless it is there, and return the folder it lies in.

    A line on stderr says from where and to where before anything is downloaded.

    Args:
        name: digits (nothing to download), fashion_mnist, cifar10 or cifar100.
        root: folder of the data; None (default): the variable ADAMW_LAB_DATA, or `data` in the current folder.

    Raises:
        ValueError: an unknown name.
        OSError: the download failed; the message names the address that was tried.
    """
    if name not in NAMES:
        raise ValueError(f"unknown dataset {name!r}; allowed: {', '.join(NAMES)}.{did_you_mean(name, NAMES)}")
    folder = data_root(root)
    if present(name, folder):
        return folder
    import torchvision.datasets as tv

    source = {"fashion_mnist": tv.FashionMNIST, "cifar10": tv.CIFAR10, "cifar100": tv.CIFAR100}[name]
    address = source.mirrors[0] if name == "fashion_mnist" else source.url
    print(f"downloading data set {name!r} from {address} to {folder}", file=sys.stderr)
    try:
        if name == "fashion_mnist":
            source(str(folder), download=True)
        else:
            tv.utils.download_url(address, str(folder), source.filename, source.tgz_md5)
    except (OSError, RuntimeError) as e:
        why = " ".join(str(e).split())  # torchvision's has several lines
        raise OSError(f"the download of data set {name!r} from {address} to {folder} failed ({why})") from e
    return folder


def present(name: str, root: str | Path | None = None) -> bool:
    """Whether a data set can be read without a download."""
    folder = data_root(root)
    if name == "fashion_mnist":
        return fashion_folder(folder) is not None
    return name == "digits" or name in CIFAR and (folder / CIFAR[name]["archive"]).is_file()


def _read_idx(path: Path) -> Tensor:
    """An array of bytes in the IDX format: magic 0, 0, 8, ndim, then big-endian sizes."""
    try:
        with gzip.open(path) as file:
            content = file.read()
        zero, kind, ndim = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{ndim}I", content[4 : 4 + 4 * ndim])
        if (zero, kind) != (0, 8):
            raise ValueError(f"magic {content[:4].hex()}")
        return torch.frombuffer(bytearray(content[4 + 4 * ndim :]), dtype=torch.uint8).view(shape)
    except (OSError, EOFError, ValueError, RuntimeError, struct.error, zlib.error) as e:
        raise _corrupt("fashion_mnist", path, str(e)) from e


class _CifarUnpickler(pickle.Unpickler):
    """Reads what CIFAR's batches hold, dicts, lists, bytes and arrays of numbers, and refuses everything else."""

    ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"),
               *((module, "_reconstruct") for module in ("numpy.core.multiarray", "numpy._core.multiarray"))}

    def find_class(self, module: str, name: str):
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"refused: {module}.{name} has no place in a CIFAR archive")
        return super().find_class(module, name)


def _unpickle(content: bytes) -> dict:
    loaded = _CifarUnpickler(io.BytesIO(content), encoding="bytes").load()
    return {_text(key): value for key, value in loaded.items()}


def _text(x: str | bytes) -> str:
    return x.decode() if isinstance(x, bytes) else x


def _cifar_split(batches: list[dict], labels: str) -> Split:
    images = np.concatenate([np.asarray(b["data"], dtype=np.uint8) for b in batches]).reshape(-1, 3, 32, 32)
    targets = np.concatenate([np.asarray(b[labels], dtype=np.int64) for b in batches])
    if len(images) != len(targets):
        raise ValueError(f"{len(images)} images, {len(targets)} labels")
    return Split(torch.from_numpy(images), torch.from_numpy(targets))


def _check_labels(name: str, path: Path, splits: dict[str, Split], classes: int) -> None:
    for split, part in splits.items():
        found = part.labels.unique().tolist()
        if found != list(range(classes)):
            raise _corrupt(name, path, f"the {split} split has labels {found}, not 0 to {classes - 1}")


def missing(name: str, root: Path, why: OSError) -> FileNotFoundError:
    """The error for data that are neither here nor to be downloaded: where they were sought, and what mends it."""
    fashion = name == "fashion_mnist"
    where = f"{DEBIAN_FASHION} or {root / 'FashionMNIST' / 'raw'}" if fashion else root / CIFAR[name]["archive"]
    return FileNotFoundError(f"data set {name!r} not found in {where}, and {why}; to get it: {_MEND[name]}")


def _corrupt(name: str, path: Path, why: str) -> ValueError:
    return ValueError(f"data set {name!r}: {path} is corrupt ({why}); delete it, then: {_MEND[name]}")
