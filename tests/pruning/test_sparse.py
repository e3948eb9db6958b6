from collections import OrderedDict

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models import resnet50

from adamw_lab.pruning import MagnitudePruner, MovementPruner, finalize, load_sparse, save_sparse, sparsity_report

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.complex64]
DTYPES += [torch.int64, torch.int32, torch.int16, torch.uint8, torch.int8, torch.bool]
INTEGER = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def bits(tensor):
    tensor = tensor.contiguous().flatten()
    return tensor.view(torch.uint8).tolist() if tensor.numel() else []


def model(width=64):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.Flatten(), nn.Linear(width * 9, 100))


def prune(model, sparsity, kind=MagnitudePruner):
    optimizer = torch.optim.SGD(model.named_parameters(), lr=0.0)
    pruner = kind(optimizer, begin_step=1, end_step=1, target_sparsity=sparsity)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    return pruner


@st.composite
def tensors(draw):
    """Any bits in any shape and dtype, zeros and negative zeros and NaNs of every kind among them."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.lists(st.integers(0, 5), max_size=3))
    count = torch.Size(shape).numel()
    if dtype is torch.bool:
        return torch.tensor(draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=dtype).view(shape)
    size = torch.empty((), dtype=dtype).element_size()
    top = 1 << (8 * size - 1)
    number = st.one_of(st.just(0), st.just(-top), st.integers(-top, top - 1))
    values = draw(st.lists(number, min_size=count, max_size=count))
    if size == 1:
        return torch.tensor([v + top for v in values], dtype=torch.uint8).view(dtype).view(shape)
    return torch.tensor(values, dtype=INTEGER[size]).view(dtype).view(shape)


@settings(max_examples=60)
@given(st.lists(tensors(), min_size=1, max_size=4))
def test_every_bit_comes_back(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("sparse") / "state"
    state = {f"layer.{i}/dense/": tensor for i, tensor in enumerate(values)}
    save_sparse(state, path)
    loaded = load_sparse(path)
    assert list(loaded) == list(state)
    for name, tensor in state.items():
        assert loaded[name].dtype is tensor.dtype and loaded[name].shape == tensor.shape
        assert bits(loaded[name]) == bits(tensor)


def test_negative_zero_and_nan_are_no_zeros(tmp_path):
    weight = torch.zeros(1000)
    weight[3], weight[5] = -0.0, float("nan")
    save_sparse({"w": weight}, tmp_path / "state")
    loaded = load_sparse(tmp_path / "state")["w"]
    assert loaded[3].signbit() and not loaded[4].signbit() and loaded[5].isnan()


def test_a_module_comes_back_with_its_order_and_versions(tmp_path):
    net = model()
    prune(net, 0.9)
    save_sparse(net, tmp_path / "net.safetensors")
    loaded = load_sparse(tmp_path / "net.safetensors")
    assert isinstance(loaded, OrderedDict) and list(loaded) == list(net.state_dict())
    assert loaded._metadata == net.state_dict()._metadata
    again = model()
    again.load_state_dict(loaded)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), again.state_dict().values(), strict=True))


def test_a_resnet50_at_90_percent_takes_at_most_14_percent(tmp_path):
    net = resnet50(num_classes=10)
    prune(net, 0.9)
    save_sparse(net, tmp_path / "net")
    dense = sum(t.nbytes for t in net.state_dict().values())
    assert (tmp_path / "net").stat().st_size <= 0.14 * dense
    loaded = load_sparse(tmp_path / "net")
    assert all(torch.equal(loaded[name], tensor) for name, tensor in net.state_dict().items())


def test_a_dense_model_takes_no_more_than_dense(tmp_path):
    dense = sum(t.nbytes for t in model(256).state_dict().values())
    save_sparse(model(256), tmp_path / "dense")
    assert (tmp_path / "dense").stat().st_size <= dense + 2000


def test_tied_and_strided_weights(tmp_path):
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    net[1].weight = net[0].weight
    state = {**net.state_dict(), "transposed": net[0].weight.T, "rows": net[0].weight[::2]}
    save_sparse(state, tmp_path / "state")
    loaded = load_sparse(tmp_path / "state")
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "state"
    save_sparse({"a": torch.ones(3)}, path)

    def fail(tensors, unfinished, header):
        unfinished.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_sparse({"a": torch.zeros(3)}, path)
    assert [p.name for p in tmp_path.iterdir()] == ["state"]
    assert torch.equal(load_sparse(path)["a"], torch.ones(3))


def test_refuses(tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(TypeError, match="entry 'extra' is a dict; allowed: plain strided tensors"):
        save_sparse({"extra": {}}, tmp_path / "state")
    with pytest.raises(TypeError, match=r"entry 'w' is a Tensor \(torch.sparse_coo\)"):
        save_sparse({"w": torch.eye(3).to_sparse()}, tmp_path / "state")
    save_file({"a": torch.ones(2)}, tmp_path / "other")
    with pytest.raises(ValueError, match="other: format is None; allowed: 'adamw-lab sparse 1'"):
        load_sparse(tmp_path / "other")


@pytest.mark.parametrize("kind", [MagnitudePruner, MovementPruner])
def test_finalize_makes_a_plain_copy_with_zeros_of_positive_sign(kind):
    net = model(8)
    pruner = prune(net, 0.5, kind)
    masks = pruner.masks()
    with torch.no_grad():
        for name, mask in masks.items():
            net.get_parameter(name)[mask] = -0.0
    plain = finalize(torch.compile(net), pruner)
    assert type(plain) is nn.Sequential and plain is not net
    for name, p in plain.named_parameters():
        assert p.grad is None and isinstance(p, nn.Parameter)
        if name in masks:
            assert (p[masks[name]].view(torch.int32) == 0).all()
            assert torch.equal(p[~masks[name]], net.get_parameter(name)[~masks[name]])
    assert net[0].weight[masks["0.weight"]].signbit().all()


def test_finalize_by_index():
    net = model(8)
    optimizer = torch.optim.SGD([{"params": [net[0].bias]}, {"params": [net[3].weight]}], lr=0.0)
    pruner = MagnitudePruner(optimizer, begin_step=1, end_step=1, target_sparsity=0.5)
    optimizer.step()
    assert (finalize(net, pruner)[3].weight == 0).sum() == 50 * 72


def test_finalize_refuses():
    with pytest.raises(TypeError, match="SGD has no masks"):
        finalize(model(8), torch.optim.SGD(model(8).parameters()))
    with pytest.raises(ValueError, match="parameter '0.weight', which is not the model's"):
        finalize(model(8), prune(model(8), 0.5))


def test_report():
    net = model(8)
    with torch.no_grad():
        net[0].weight[:4] = 0.0
        net[3].weight[0] = -0.0
    report = sparsity_report(net).set_index("layer")
    assert list(report.index) == ["0.weight", "3.weight"]
    assert report.loc["0.weight"].tolist() == [(8, 3, 3, 3), 216, 108, 0.5]
    assert report.loc["3.weight"].tolist() == [(100, 72), 7200, 72, 0.01]
    assert sparsity_report(nn.ReLU()).empty


def damaged(kind, path):
    """A file of `save_sparse` with something wrong about it."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    save_sparse({"w": torch.eye(40)}, path)
    if kind == "cut":
        path.write_bytes(path.read_bytes()[:-30])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "no safetensors":
        torch.save({"w": torch.eye(40)}, path)
    else:
        with safe_open(path, "pt") as file:
            header, parts = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        parts |= {"no values": {"values/w": torch.ones(39)}, "short mask": {"mask/w": parts["mask/w"][:-1]},
                  "flipped bit": {"mask/w": parts["mask/w"] ^ 1}}.get(kind, {})
        if kind == "no entry":
            del parts["mask/w"]
        save_file(parts, path, header)


@pytest.mark.parametrize("kind", [
    "cut", "empty", "no safetensors", "no values", "short mask", "flipped bit", "no entry"])
def test_damage_is_told_with_the_path(tmp_path, kind):
    damaged(kind, tmp_path / "net")
    with pytest.raises(ValueError, match="net is damaged"):
        load_sparse(tmp_path / "net")


def test_an_empty_model_and_a_missing_file(tmp_path):
    save_sparse(nn.ReLU(), tmp_path / "net")
    assert load_sparse(tmp_path / "net") == OrderedDict()
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_sparse(tmp_path / "nowhere")


@pytest.mark.parametrize("order", ["compiled in DDP", "DDP compiled"])
def test_finalize_takes_every_wrapper_off(order, tmp_path):
    net = model(8)
    pruner = prune(net, 0.5)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        ddp = nn.parallel.DistributedDataParallel
        wrapped = ddp(torch.compile(net)) if order == "compiled in DDP" else torch.compile(ddp(net))
        plain = finalize(wrapped, pruner)
    finally:
        torch.distributed.destroy_process_group()
    assert type(plain) is nn.Sequential and list(plain.state_dict()) == list(net.state_dict())
