import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from adamw_lab.models import MODELS, SMALL, build_model, layer_names, models_for, parameter_count


@pytest.mark.parametrize(("name", "channels", "classes", "image_size", "millions"), [
    ("resnet18", 3, 10, 32, 11.17),
    ("resnet50", 3, 100, 32, 23.7),
    ("lenet5", 1, 10, 28, 0.0617),
    ("lenet5", 1, 10, 32, 0.0617),
])
def test_parameter_counts_are_the_published_ones(name, channels, classes, image_size, millions):
    model = build_model(name, channels=channels, classes=classes, image_size=image_size)
    assert parameter_count(model) / 1e6 == pytest.approx(millions, rel=2e-3)


def test_the_mlp_counts_by_hand():
    model = build_model("mlp", channels=1, classes=10, image_size=8)
    assert parameter_count(model) == (64 + 1) * 256 + (256 + 1) * 256 + (256 + 1) * 10


def test_shared_parameters_count_once():
    layer = torch.nn.Linear(3, 3)
    assert parameter_count(torch.nn.Sequential(layer, layer)) == 12


IMAGE_MODELS = models_for({"channels": 1, "classes": 2, "image_size": 8})


@pytest.mark.parametrize("name", IMAGE_MODELS)
@pytest.mark.parametrize(("channels", "classes", "image_size"), [(1, 10, 8), (3, 2, 33), (3, 7, SMALL + 1)])
def test_every_model_trains_on_every_kind_of_image(name, channels, classes, image_size):
    model = build_model(name, channels=channels, classes=classes, image_size=image_size, seed=0)
    logits = model(torch.randn(2, channels, image_size, image_size))
    assert logits.shape == (2, classes)
    logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@settings(max_examples=25)
@given(st.integers(8, 96), st.sampled_from([1, 3]))
def test_lenet5_takes_any_size_from_8_on(image_size, channels):
    model = build_model("lenet5", channels=channels, classes=10, image_size=image_size, seed=0)
    assert model(torch.zeros(1, channels, image_size, image_size)).shape == (1, 10)
    assert parameter_count(model) == 61_706 + 150 * (channels - 1)


@pytest.mark.parametrize(("image_size", "channels", "kernel", "stride"), [
    (8, 1, 3, 1), (32, 3, 3, 1), (SMALL, 3, 3, 1), (SMALL + 1, 3, 7, 2), (224, 1, 7, 2)])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_stem_of_a_resnet_fits_its_images(name, image_size, channels, kernel, stride):
    with torch.device("meta"):
        model = build_model(name, channels=channels, classes=10, image_size=image_size)
    assert model.conv1.kernel_size == (kernel, kernel) and model.conv1.stride == (stride, stride)
    assert model.conv1.in_channels == channels and model.conv1.bias is None
    assert isinstance(model.maxpool, torch.nn.MaxPool2d) == (image_size > SMALL)


def weights(name, seed):
    model = build_model(name, channels=1, classes=10, image_size=8, seed=seed)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("name", ["lenet5", "mlp", "resnet18"])
def test_the_initial_weights_depend_on_the_seed_alone(name):
    torch.manual_seed(1)
    first = weights(name, 3)
    torch.manual_seed(2)
    assert torch.equal(first, weights(name, 3))
    assert not torch.equal(first, weights(name, 4))


def test_a_seed_leaves_every_global_generator_alone(monkeypatch):
    reseeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", reseeded.append)
    before = torch.random.get_rng_state()
    build_model("mlp", channels=1, classes=10, image_size=8, seed=3)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert not reseeded


def test_without_a_seed_the_global_generator_draws():
    torch.manual_seed(5)
    first = weights("mlp", None)
    assert not torch.equal(first, weights("mlp", None))
    torch.manual_seed(5)
    assert torch.equal(first, weights("mlp", None))


@pytest.mark.parametrize(("changes", "parts"), [
    ({"name": "resnt18"}, ["unknown model 'resnt18'", ", ".join(MODELS), "Did you mean 'resnet18'?"]),
    ({"channels": 0}, ["channels value: 0", "at least 1"]),
    ({"classes": 0}, ["classes value: 0", "at least 1"]),
    ({"image_size": 7}, ["image_size value: 7", "at least 8"]),
])
def test_bad_input_is_named(changes, parts):
    arguments = {"name": "mlp", "channels": 1, "classes": 10, "image_size": 8, **changes}
    with pytest.raises(ValueError) as error:
        build_model(arguments.pop("name"), **arguments)
    assert all(part in str(error.value) for part in parts), str(error.value)


@pytest.mark.parametrize(("name", "expansion"), [("resnet18", 1), ("resnet50", 4)])
@pytest.mark.parametrize("width", [0.25, 0.5, 2.0])
@pytest.mark.parametrize("image_size", [8, SMALL + 1])
def test_width_scales_every_channel(name, expansion, width, image_size):
    with torch.device("meta"):
        plain, scaled = (
            build_model(name, channels=1, classes=10, image_size=image_size, width=w) for w in (1.0, width))
    for one, other in zip(plain.modules(), scaled.modules(), strict=True):
        if isinstance(one, torch.nn.Conv2d):
            assert other.out_channels == width * one.out_channels
            assert (other.kernel_size, other.stride, other.padding) == (one.kernel_size, one.stride, one.padding)
        if isinstance(one, torch.nn.BatchNorm2d):
            assert other.num_features == width * one.num_features
    assert scaled.fc.in_features == 512 * width * expansion
    assert parameter_count(scaled) / parameter_count(plain) == pytest.approx(width**2, rel=0.05)


def test_a_scaled_resnet_trains():
    model = build_model("resnet18", channels=3, classes=4, image_size=8, width=0.25, seed=0)
    logits = model(torch.randn(2, 3, 8, 8))
    logits.square().sum().backward()
    assert logits.shape == (2, 4) and all(p.grad.isfinite().all() for p in model.parameters())


def test_layers_of_a_sequence_are_called_by_their_kind():
    lenet = build_model("lenet5", channels=1, classes=10, image_size=28)
    assert list(layer_names(lenet).values()) == ["convolution 1", "convolution 2", "linear 1", "linear 2", "linear 3"]
    assert set(layer_names(lenet)) == {name for name, p in lenet.named_parameters() if p.ndim >= 2}
    resnet = build_model("resnet18", channels=3, classes=10, image_size=32, width=0.25)
    assert all(name == called for name, called in layer_names(resnet).items())
