"""The files of Fashion-MNIST and CIFAR, written here in their own formats, and the errors when they are not right."""

import gzip
import io
import os
import pickle
import shlex
import shutil
import struct
import subprocess
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from filelock import FileLock

from adamw_lab.data import fetch, load_data, present, sources

FASHION = {"train": 100, "t10k": 20}
CIFAR = {"cifar10": ([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"], "batches.meta", b"labels", 10),
         "cifar100": (["train", "test"], "meta", b"fine_labels", 100)}


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    """No test reaches for the network, or for what happens to be installed on this machine."""

    def unreachable(*args, **kwargs):
        raise OSError("the network\n is down")

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", unreachable)
    monkeypatch.setattr(sources, "DEBIAN_FASHION", tmp_path / "debian")


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_fashion(folder, seed=0):
    """Fashion-MNIST's four files, 20 times smaller or more; returns the arrays written."""
    folder.mkdir(parents=True, exist_ok=True)
    random, arrays = np.random.default_rng(seed), {}
    for part, n in FASHION.items():
        images = random.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        labels = random.permutation(np.arange(n, dtype=np.uint8) % 10)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(idx(array)))
        arrays[part] = images, labels
    return arrays


def write_cifar(name, root, n=100, replace=None):
    """A CIFAR archive with n images a file; `replace` maps file names to other contents. Returns the arrays written."""
    files, meta, key, classes = CIFAR[name]
    random, arrays, contents = np.random.default_rng(0), {}, {}
    for file in files:
        images = random.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
        labels = random.permutation(np.arange(n) % classes).tolist()
        batch = {b"batch_label": b"one of several", key: labels, b"data": images.reshape(n, -1),
                 b"filenames": [b"%d.png" % i for i in range(n)]}
        contents[file] = as_published(batch)
        arrays[file] = images, labels
    names = b"fine_label_names" if name == "cifar100" else b"label_names"
    contents[meta] = as_published({names: [b"class %d" % i for i in range(classes)]})
    with tarfile.open(root / f"{name.replace('cifar', 'cifar-')}-python.tar.gz", "w:gz") as tar:
        for file, content in {**contents, **(replace or {})}.items():
            member = tarfile.TarInfo(f"{name}-python/{file}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return arrays


class Python2(pickle._Pickler):
    """Writes text and bytes as Python 2 did, which made the archives: both as plain strings."""

    def save_string(self, value):
        data = value.encode() if isinstance(value, str) else value
        head = b"U" + bytes([len(data)]) if len(data) < 256 else b"T" + struct.pack("<i", len(data))
        self.write(head + data)
        self.memoize(value)

    dispatch = {**pickle._Pickler.dispatch, bytes: save_string, str: save_string}


def as_published(value):
    """Pickled as the archives are: protocol 2, and arrays by the name that NumPy's module had before version 2."""
    content = io.BytesIO()
    Python2(content, protocol=2).dump(value)
    return content.getvalue().replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n")


def pairs(*splits):
    """(bytes of the image, label) of all images, sorted."""
    return sorted((bytes(i.numpy()), int(y)) for s in splits for i, y in zip(s.images, s.labels, strict=True))


def written(*arrays):
    return sorted((images[i].tobytes(), int(labels[i])) for images, labels in arrays for i in range(len(labels)))


@pytest.mark.parametrize("place", ["FashionMNIST/raw", ".", "../debian"])
def test_fashion_mnist_is_found_where_torchvision_or_debian_put_it(tmp_path, place):
    root = tmp_path / "root"
    root.mkdir()
    arrays = write_fashion(root / place)
    assert present("fashion_mnist", root)
    data = load_data("fashion_mnist", root=root)
    assert pairs(data.train, data.validation) == written(arrays["train"])
    assert pairs(data.test) == written(arrays["t10k"])
    assert (data.channels, data.image_size, len(data.classes)) == (1, 28, 10)
    assert data.classes[9] == "ankle boot"


def test_the_root_comes_before_what_is_installed(tmp_path):
    write_fashion(tmp_path / "debian", seed=1)
    arrays = write_fashion(tmp_path / "root" / "FashionMNIST" / "raw", seed=2)
    assert pairs(load_data("fashion_mnist", root=tmp_path / "root").test) == written(arrays["t10k"])


@pytest.mark.parametrize("name", CIFAR)
def test_cifar_is_read_from_its_archive(tmp_path, name):
    *train, test = write_cifar(name, tmp_path, n=200).values()
    data = load_data(name, root=tmp_path)
    assert pairs(data.train, data.validation) == written(*train)
    assert pairs(data.test) == written(test)
    assert (data.channels, data.image_size) == (3, 32)
    assert data.classes == tuple(f"class {i}" for i in range(CIFAR[name][3]))


def test_arrays_pickled_by_a_newer_numpy_are_read_too(tmp_path):
    images, labels = np.zeros((20, 3072), dtype=np.uint8), [i % 10 for i in range(20)]
    batch = pickle.dumps({"data": images, "labels": labels})
    write_cifar("cifar10", tmp_path, replace={"test_batch": batch})
    assert load_data("cifar10", root=tmp_path).test.labels.tolist() == labels


class Hostile:
    """Unpickles by a call of its own choice."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("function", [os.mkdir, eval, getattr, np.load])
def test_a_pickle_that_calls_anything_is_refused(tmp_path, function):
    trap = tmp_path / "trap"
    argument = f"__import__('os').mkdir({str(trap)!r})" if function is eval else str(trap)
    batch = pickle.dumps({"data": Hostile(function, argument), "labels": [0]})
    write_cifar("cifar10", tmp_path, replace={"data_batch_3": batch})
    name = f"{function.__module__}.{function.__name__}"
    with pytest.raises(ValueError, match=f"is corrupt .*refused: {name} has no place"):
        load_data("cifar10", root=tmp_path)
    assert not trap.exists()


ROWS, LABELS = np.zeros((10, 3072), dtype=np.uint8), list(range(10))


OBJECTS = as_published(np.array([0] * 20, dtype=np.uint8)).replace(b"u1", b"O8")


@pytest.mark.parametrize("content", [
    b"", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({"data": ROWS}), pickle.dumps({"labels": LABELS}),
    pickle.dumps({"data": ROWS, "labels": LABELS[1:]}), pickle.dumps({"data": ROWS[:, 1:], "labels": LABELS}),
    pickle.dumps({"data": "text", "labels": LABELS}), pickle.dumps({"data": ROWS, "labels": None}),
    b"cnumpy\ndtype\n(tR.", pickle.dumps({b"\xff" * 9999: 1}), OBJECTS,
    pickle.dumps({"data": ROWS.astype(np.int16), "labels": LABELS}), pickle.dumps({"data": ROWS, "labels": [0.5] * 10}),
    pickle.dumps({"data": ROWS, "labels": []}), pickle.dumps({"data": ROWS, "labels": [10**30] * 10}),
], ids=["empty", "garbage", "list", "no labels", "no data", "one label short", "one pixel short", "text for data",
        "none for labels", "a call without arguments", "a key that is no text", "pointers for pixels", "wide pixels",
        "half labels", "labels without images", "a label beyond all numbers"])
def test_a_broken_file_in_an_archive_is_named_with_its_cure(tmp_path, content):
    write_cifar("cifar10", tmp_path, replace={"test_batch": content})
    with pytest.raises(ValueError) as error:
        load_data("cifar10", root=tmp_path)
    archive = tmp_path / "cifar-10-python.tar.gz"
    assert str(error.value).startswith(f"data set 'cifar10': {archive} is corrupt (")
    assert str(error.value).endswith(f"; to mend it: rm {archive} && ADAMW_LAB_DATA={tmp_path} adamw-lab data cifar10")
    assert len(str(error.value)) < 600


def test_a_file_that_is_not_in_the_archive_is_named(tmp_path):
    write_cifar("cifar10", tmp_path)
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive) as tar:
        members = [(member, tar.extractfile(member).read()) for member in tar]
    with tarfile.open(archive, "w:gz") as tar:
        for member, content in members:
            if not member.name.endswith("data_batch_4"):
                tar.addfile(member, io.BytesIO(content))
    with pytest.raises(ValueError, match="is corrupt .*it lacks data_batch_4"):
        load_data("cifar10", root=tmp_path)


def test_a_single_wrong_bit_among_the_pixels_is_found(tmp_path):
    images, labels = np.random.default_rng(1).integers(0, 256, (20, 3072), dtype=np.uint8), [i % 10 for i in range(20)]
    batch = as_published({b"data": images, b"labels": labels})
    write_cifar("cifar10", tmp_path, replace={"test_batch": batch})
    archive = tmp_path / "cifar-10-python.tar.gz"
    plain = gzip.decompress(archive.read_bytes())
    content = bytearray(gzip.compress(plain, compresslevel=0))  # stored as it is: nothing to stumble over but the sum
    content[content.index(images[7].tobytes()[:64])] ^= 1
    archive.write_bytes(content)
    with pytest.raises(ValueError, match="corrupt .CRC check failed"):
        load_data("cifar10", root=tmp_path)


@pytest.mark.parametrize(("name", "labels", "names", "reason"), [
    ("cifar10", 9, 10, "the test split has 9 different labels, 0 to 8, not 10, 0 to 9"),
    ("cifar10", 11, 10, "the test split has 11 different labels, 0 to 10, not 10, 0 to 9"),
    ("cifar10", 10, 9, "9 names of classes, not 10"),
    ("cifar100", 20, 100, "the test split has 20 different labels, 0 to 19, not 100, 0 to 99"),
])
def test_an_archive_with_another_number_of_classes_is_refused(tmp_path, name, labels, names, reason):
    _, meta, key, _ = CIFAR[name]
    batch = {b"data": np.zeros((200, 3072), np.uint8), key: [i % labels for i in range(200)]}
    known = {b"fine_label_names" if name == "cifar100" else b"label_names": [b"class %d" % i for i in range(names)]}
    test = "test" if name == "cifar100" else "test_batch"
    write_cifar(name, tmp_path, replace={test: as_published(batch), meta: as_published(known)})
    with pytest.raises(ValueError, match=rf"is corrupt \({reason}\); to mend it: rm "):
        load_data(name, root=tmp_path)


@pytest.mark.parametrize("spoil", [
    lambda b: b[: len(b) // 2], lambda b: b"x" * 100, lambda b: b"", lambda b: b[:5000] + bytes(200) + b[5200:]],
    ids=["torn", "garbage", "empty", "hole"])
def test_a_damaged_archive_is_named_with_its_cure(tmp_path, spoil):
    write_cifar("cifar100", tmp_path)
    archive = tmp_path / "cifar-100-python.tar.gz"
    archive.write_bytes(spoil(archive.read_bytes()))
    with pytest.raises(ValueError, match=rf"corrupt .*; to mend it: rm {archive} && ADAMW_LAB_DATA={tmp_path} adamw"):
        load_data("cifar100", root=tmp_path)


@pytest.mark.parametrize("spoil", [
    lambda b: b[: len(b) // 2], lambda b: b"garbage", lambda b: gzip.compress(b""),
    lambda b: gzip.compress(b"\0\0\x0d\1" + gzip.decompress(b)[4:]),  # another type of number
    lambda b: gzip.compress(gzip.decompress(b)[:-1]), lambda b: gzip.compress(idx(np.zeros(99, np.uint8))),
    lambda b: gzip.compress(idx(np.zeros((100, 1), np.uint8))), lambda b: gzip.compress(idx(np.zeros((), np.uint8)))],
    ids=["torn", "garbage", "empty", "floats", "one byte short", "one label short", "a matrix", "a number"])
def test_a_damaged_idx_file_is_named_with_its_cure(tmp_path, spoil):
    folder = tmp_path / "FashionMNIST" / "raw"
    write_fashion(folder)
    labels = folder / "train-labels-idx1-ubyte.gz"
    labels.write_bytes(spoil(labels.read_bytes()))
    with pytest.raises(ValueError) as error:
        load_data("fashion_mnist", root=tmp_path)
    assert str(error.value).startswith(f"data set 'fashion_mnist': {folder}")
    assert "is corrupt (" in str(error.value) and f"to mend it: rm {folder}" in str(error.value)
    assert str(error.value).endswith(f"ADAMW_LAB_DATA={tmp_path} adamw-lab data fashion_mnist")


def test_images_of_another_size_are_no_fashion_mnist(tmp_path):
    write_fashion(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(np.zeros((20, 32, 32), np.uint8))))
    with pytest.raises(ValueError, match=r"t10k-images\S+ is corrupt \(images \[20, 32, 32\], labels \[20\]\)"):
        load_data("fashion_mnist", root=tmp_path)


def test_a_damaged_debian_package_is_installed_again(tmp_path):
    write_fashion(tmp_path / "debian")
    (tmp_path / "debian" / "train-labels-idx1-ubyte.gz").write_bytes(b"garbage")
    with pytest.raises(ValueError, match="to mend it: apt-get install --reinstall dataset-fashion-mnist$"):
        load_data("fashion_mnist", root=tmp_path / "root")


def test_where_data_lie_by_default_the_cure_is_the_bare_command(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAMW_LAB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="to get it: adamw-lab data cifar10$"):
        load_data("cifar10")


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_fashion(tmp_path / "sets")
    assert len(load_data("fashion_mnist", root="~/sets").test) == 20


def test_a_class_count_that_does_not_match_is_an_error(tmp_path):
    folder = tmp_path / "FashionMNIST" / "raw"
    write_fashion(folder)
    labels = np.arange(100, dtype=np.uint8) % 11
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    with pytest.raises(ValueError, match=r"train split has 11 different labels, 0 to 10, not 10, 0 to 9"):
        load_data("fashion_mnist", root=tmp_path)


@pytest.mark.parametrize(("name", "address", "places", "cure"), [
    ("fashion_mnist", "fashion-mnist", ["debian", "FashionMNIST/raw"],
     "apt-get install dataset-fashion-mnist, or ADAMW_LAB_DATA={} adamw-lab data fashion_mnist"),
    ("cifar10", "cifar-10-python.tar.gz", ["cifar-10-python.tar.gz"], "ADAMW_LAB_DATA={} adamw-lab data cifar10"),
    ("cifar100", "cifar-100-python.tar.gz", ["cifar-100-python.tar.gz"], "ADAMW_LAB_DATA={} adamw-lab data cifar100"),
])
def test_missing_data_are_named_with_their_cure(tmp_path, capsys, name, address, places, cure):
    assert not present(name, tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        load_data(name, root=tmp_path)
    message = str(error.value)
    assert message.endswith(f"to get it: {cure.format(tmp_path)}") and "the network is down" in message
    assert all(str(tmp_path / place) in message for place in places) and f"{address}" in message
    assert capsys.readouterr().err.startswith(f"downloading data set {name!r} from http")  # never in silence


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Downloads come from a folder of files; the list of those that were made."""
    folder, downloads = tmp_path / "served", []
    folder.mkdir()

    def download(url, root, filename, md5):
        downloads.append(url.rpartition("/")[2])
        assert len(md5) == 32
        shutil.copy(folder / downloads[-1], Path(root, filename))

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", download)
    monkeypatch.setenv("ADAMW_LAB_DATA", str(tmp_path / "root"))
    return folder, downloads


def test_fetch_downloads_into_the_root_and_only_once(tmp_path, served, capsys):
    folder, downloads = served
    write_cifar("cifar10", folder)
    assert fetch("cifar10") == fetch("cifar10", tmp_path / "root") == tmp_path / "root"
    assert downloads == ["cifar-10-python.tar.gz"]
    assert capsys.readouterr().err.count("downloading") == 1
    assert len(load_data("cifar10").test) == 100
    assert len(downloads) == 1


def test_the_cure_for_a_corrupt_file_is_one(tmp_path, served):
    folder, downloads = served
    arrays = write_fashion(folder)
    place = tmp_path / "root" / "FashionMNIST" / "raw"
    write_fashion(place)
    for file in list(place.iterdir()):  # torchvision unpacks every file beside itself
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
    (place / "train-labels-idx1-ubyte.gz").write_bytes(b"garbage")
    with pytest.raises(ValueError) as error:
        load_data("fashion_mnist")
    remove, command = str(error.value).rpartition("to mend it: ")[2].split(" && ")
    assert command == "adamw-lab data fashion_mnist"
    subprocess.run(shlex.split(remove), check=True)
    fetch("fashion_mnist")
    assert len(downloads) == 4 and pairs(load_data("fashion_mnist").test) == written(arrays["t10k"])


def test_a_download_that_is_cut_off_leaves_nothing_that_looks_like_data(tmp_path, monkeypatch):
    def half(url, root, filename, md5):
        Path(root, filename).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", half)
    with pytest.raises(KeyboardInterrupt):
        fetch("cifar10", tmp_path)
    assert not present("cifar10", tmp_path)
    assert [path for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_of_several_that_want_the_same_data_one_downloads(tmp_path, served, monkeypatch):
    folder, downloads = served
    write_cifar("cifar10", folder)
    quick = torchvision.datasets.utils.download_url
    begun = threading.Barrier(3, timeout=30)
    monkeypatch.setattr(torchvision.datasets.utils, "download_url", lambda *a: (time.sleep(0.2), quick(*a)))
    monkeypatch.setattr(sources, "FileLock", lambda path: (begun.wait(), FileLock(path))[1])
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(fetch, ["cifar10"] * 3)) == [tmp_path / "root"] * 3
    assert downloads == ["cifar-10-python.tar.gz"]


def test_without_root_and_variable_data_lie_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("ADAMW_LAB_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    write_fashion(tmp_path / "data" / "FashionMNIST" / "raw")
    assert present("fashion_mnist") and not present("fashion_mnist", tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["fashion_mnist", "cifar100"])
def test_a_download_that_fails_names_its_address(tmp_path, name):
    with pytest.raises(OSError, match=rf"{name}.* from http\S+ to {tmp_path} failed \(the network is down\)"):
        fetch(name, tmp_path)


def test_fetch_refuses_unknown_names():
    with pytest.raises(ValueError, match="unknown dataset 'cifar1'; allowed: digits, .* Did you mean 'cifar10'?"):
        fetch("cifar1")


def test_digits_are_always_here(tmp_path):
    assert present("digits", tmp_path)
    data = load_data("digits", root=tmp_path)
    assert data.train.images.dtype == torch.uint8 and data.train.images.max() == 255
