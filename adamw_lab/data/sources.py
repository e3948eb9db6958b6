"""Where images come from: scikit-learn's digits, Fashion-MNIST's and CIFAR's files, found or downloaded."""

import codecs
import gzip
import io
import os
import pickle
import re
import shlex
import struct
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from adamw_lab.data.batches import Split
from adamw_lab.suggest import did_you_mean

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
_FASHION_HOME = Path("FashionMNIST") / "raw"
_FASHION_FILES = {"train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
                  "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")}
_FASHION_CLASSES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag",
                    "ankle boot")
CIFAR = {
    "cifar10": dict(archive="cifar-10-python.tar.gz", train=[f"data_batch_{i}" for i in range(1, 6)],
                    test=["test_batch"], meta="batches.meta", names="label_names", labels="labels", classes=10),
    "cifar100": dict(archive="cifar-100-python.tar.gz", train=["train"], test=["test"], meta="meta",
                     names="fine_label_names", labels="fine_labels", classes=100),
}
NAMES = ("digits", "fashion_mnist", *CIFAR)


def data_root(root: str | Path | None) -> Path:
    """The folder of downloaded data: `root`, else the variable ADAMW_LAB_DATA, else `data` in the current folder."""
    return Path(root or os.environ.get("ADAMW_LAB_DATA") or "data").expanduser()


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
        images, labels = (_read_idx(folder / name, root) for name in names)
        if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
            raise _corrupt("fashion_mnist", folder / names[0], root,
                           f"images {list(images.shape)}, labels {list(labels.shape)}")
        splits[split] = Split(images[:, None], labels.long())
        _check_labels("fashion_mnist", folder / names[1], root, split, splits[split].labels, len(_FASHION_CLASSES))
    return splits["train"], splits["test"], _FASHION_CLASSES


def fashion_folder(root: Path) -> Path | None:
    """The first folder that holds Fashion-MNIST: under `root` as torchvision keeps it, or Debian's; None: neither."""
    folders = (root / _FASHION_HOME, root, DEBIAN_FASHION)
    wanted = [name for names in _FASHION_FILES.values() for name in names]
    return next((f for f in folders if all((f / name).is_file() for name in wanted)), None)


def read_cifar(name: str, root: Path) -> tuple[Split, Split, tuple[str, ...]]:
    """CIFAR-10 or CIFAR-100 (fine labels) from the archive of its "python version": colour, 32x32 pixels."""
    spec = CIFAR[name]
    archive = root / spec["archive"]
    content = _inflated(name, archive, root)
    try:
        files = _unpacked(content, [*spec["train"], *spec["test"], spec["meta"]])
        splits = {split: _cifar_split([_unpickle(files[file]) for file in spec[split]], spec["labels"])
                  for split in ("train", "test")}
        classes = tuple(_text(c) for c in _unpickle(files[spec["meta"]])[spec["names"]])
    except Exception as e:  # a damaged pickle raises whatever it likes
        raise _corrupt(name, archive, root, f"{type(e).__name__}: {e}") from e
    if len(classes) != spec["classes"]:
        raise _corrupt(name, archive, root, f"{len(classes)} names of classes, not {spec['classes']}")
    for split, part in splits.items():
        _check_labels(name, archive, root, split, part.labels, spec["classes"])
    return splits["train"], splits["test"], classes


def fetch(name: str, root: str | Path | None = None) -> Path:
    """Download a data set by torchvision, unless it is there, and return the folder it lies in.

    A line on stderr says from where and to where before anything is downloaded. Of several processes that want the
    same data at once, one downloads them.

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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{name}.lock"):  # runs that start side by side want the same files
            if not present(name, folder):
                _download(name, folder)
    except (OSError, RuntimeError) as e:
        why = " ".join(str(e).split())  # torchvision's has several lines
        raise OSError(f"the download of data set {name!r} from {_addresses(name)[0][0]} to {folder} failed "
                      f"({why})") from e
    return folder


def _addresses(name: str) -> list[tuple[str, str]]:
    """Where the files of a data set are to be had, each with its MD5."""
    import torchvision.datasets as tv

    if name == "fashion_mnist":
        return [(tv.FashionMNIST.mirrors[0] + file, md5) for file, md5 in tv.FashionMNIST.resources]
    source = {"cifar10": tv.CIFAR10, "cifar100": tv.CIFAR100}[name]
    return [(source.url, source.tgz_md5)]


def _download(name: str, folder: Path) -> None:
    """Each file is checked and then moved to its place, so that one that is there is whole."""
    from torchvision.datasets.utils import download_url

    place = folder / _FASHION_HOME if name == "fashion_mnist" else folder
    place.mkdir(parents=True, exist_ok=True)
    for address, md5 in _addresses(name):
        print(f"downloading data set {name!r} from {address} to {place}", file=sys.stderr)
        with tempfile.TemporaryDirectory(dir=place) as draft:
            download_url(address, draft, "file", md5)
            os.replace(Path(draft) / "file", place / address.rpartition("/")[2])


def present(name: str, root: str | Path | None = None) -> bool:
    """Whether a data set can be read without a download."""
    folder = data_root(root)
    if name == "fashion_mnist":
        return fashion_folder(folder) is not None
    return name == "digits" or name in CIFAR and (folder / CIFAR[name]["archive"]).is_file()


def _inflated(name: str, path: Path, root: Path) -> bytes:
    """A gzip file's content, read to its end, where its checksum is."""
    try:
        return gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as e:
        raise _corrupt(name, path, root, str(e)) from e


def _read_idx(path: Path, root: Path) -> Tensor:
    """An array of bytes in the IDX format: magic 0, 0, 8, ndim, then big-endian sizes."""
    content = _inflated("fashion_mnist", path, root)
    try:
        zero, kind, ndim = struct.unpack(">HBB", content[:4])
        shape = struct.unpack(f">{ndim}I", content[4 : 4 + 4 * ndim])
        if (zero, kind) != (0, 8):
            raise ValueError(f"magic {content[:4].hex()}")
        return torch.frombuffer(bytearray(content[4 + 4 * ndim :]), dtype=torch.uint8).view(shape)
    except (ValueError, RuntimeError, struct.error) as e:
        raise _corrupt("fashion_mnist", path, root, str(e)) from e


def _unpacked(content: bytes, wanted: list[str]) -> dict[str, bytes]:
    """The files of a tar archive by name, whatever folder they lie in."""
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        files = {Path(m.name).name: tar.extractfile(m).read() for m in tar if m.isfile()}
    if lacking := [file for file in wanted if file not in files]:
        raise ValueError(f"it lacks {', '.join(lacking)}")
    return files


class _Kind:
    """Stands in for numpy.dtype while a batch is unpickled."""

    def __init__(self, code: str | bytes, *flags: bool) -> None:
        self.code = _text(code)

    def __setstate__(self, state: tuple) -> None:
        if not re.fullmatch("[iu][1248]", self.code):
            raise ValueError(f"an array of {self.code!r}, not of whole numbers")
        self.dtype = np.dtype(_text(state[1]) + self.code)


class _Array:
    """Stands in for numpy.ndarray while a batch is unpickled: NumPy believes a damaged pickle, and can crash of it."""

    def __init__(self, *arguments: Any) -> None:
        """As NumPy's `_reconstruct` is called, before the state comes."""

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, by_columns, content = state
        self.array = np.frombuffer(content, kind.dtype).reshape(shape, order="F" if by_columns else "C")


class _CifarUnpickler(pickle.Unpickler):
    """Reads what CIFAR's batches hold, dicts, lists, bytes and arrays of numbers, and refuses everything else."""

    ALLOWED = {("numpy", "ndarray"): _Array, ("numpy", "dtype"): _Kind, ("_codecs", "encode"): codecs.encode,
               ("numpy.core.multiarray", "_reconstruct"): _Array, ("numpy._core.multiarray", "_reconstruct"): _Array}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"refused: {module}.{name} has no place in a CIFAR archive")
        return self.ALLOWED[module, name]


def _unpickle(content: bytes) -> dict[str, Any]:
    loaded = _CifarUnpickler(io.BytesIO(content), encoding="bytes").load()
    return {_text(key): value for key, value in loaded.items()}


def _text(x: str | bytes) -> str:
    return x.decode() if isinstance(x, bytes) else x


def _cifar_split(batches: list[dict[str, Any]], labels: str) -> Split:
    images, targets = [], []
    for batch in batches:
        pixels = batch["data"].array
        if pixels.dtype != np.uint8:
            raise ValueError(f"pixels of type {pixels.dtype}, not uint8")
        own = batch[labels].array if isinstance(batch[labels], _Array) else np.array(batch[labels])
        targets.append(own.astype(np.int64, casting="safe"))
        images.append(pixels.reshape(len(own), 3, 32, 32))
    return Split(torch.from_numpy(np.concatenate(images)), torch.from_numpy(np.concatenate(targets)))


def _check_labels(name: str, path: Path, root: Path, split: str, labels: Tensor, classes: int) -> None:
    found = labels.unique().tolist()
    if found != list(range(classes)):
        which = f"{len(found)} different labels, {found[0]} to {found[-1]}" if found else "no images"
        raise _corrupt(name, path, root, f"the {split} split has {which}, not {classes}, 0 to {classes - 1}")


def missing(name: str, root: Path, why: OSError) -> FileNotFoundError:
    """The error for data that are neither here nor to be downloaded: where they were sought, and what mends it."""
    if name == "fashion_mnist":
        where, debian = f"{DEBIAN_FASHION} or {root / _FASHION_HOME}", "apt-get install dataset-fashion-mnist, or "
    else:
        where, debian = root / CIFAR[name]["archive"], ""
    return FileNotFoundError(f"data set {name!r} not found at {where}, and {why}; to get it: {debian}"
                             f"{_command(name, root)}")


def _corrupt(name: str, path: Path, root: Path, why: str) -> ValueError:
    debian = path.parent == DEBIAN_FASHION
    cure = "apt-get install --reinstall dataset-fashion-mnist" if debian else (
        f"rm {shlex.quote(str(path))} && {_command(name, root)}")
    return ValueError(f"data set {name!r}: {path} is corrupt ({why}); to mend it: {cure}")


def _command(name: str, root: Path) -> str:
    """What gets a data set into `root`."""
    elsewhere = "" if root == data_root(None) else f"ADAMW_LAB_DATA={shlex.quote(str(root))} "
    return f"{elsewhere}adamw-lab data {name}"
