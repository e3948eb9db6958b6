"""Grids: products, zips, exclusions, and what they refuse, on the command line and in files."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adamw_lab.experiments.grids import Grid, parse_axis, read_grid

AXES = st.dictionaries(st.sampled_from("abcde"), st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True))


@given(AXES)
def test_axes_make_their_product_once_each(axes):
    points = Grid(axes=axes).points()
    assert len(points) == len({tuple(sorted(p.items())) for p in points})
    wanted = {tuple(sorted(zip(axes, values, strict=True))) for values in itertools.product(*axes.values())}
    assert {tuple(sorted(p.items())) for p in points} == wanted


def test_seeds_vary_slowest_then_what_is_named_first():
    points = Grid(axes={"lr": [1, 2], "wd": [3, 4], "seed": [0, 1]}).points()
    assert [(p["seed"], p["lr"], p["wd"]) for p in points] == [
        (seed, lr, wd) for seed in (0, 1) for lr in (1, 2) for wd in (3, 4)]


def test_zipped_axes_go_together():
    points = Grid(axes={"seed": [0, 1]}, zip=[{"model": ["a", "b"], "lr": [1, 2]}]).points()
    assert [(p["seed"], p["model"], p["lr"]) for p in points] == [(0, "a", 1), (0, "b", 2), (1, "a", 1), (1, "b", 2)]


def test_base_include_and_exclude():
    grid = Grid(base={"epochs": 3}, axes={"lr": [1, 2], "wd": [0, 5]}, include=[{"lr": 9, "epochs": 1}, {"lr": 2,
                "wd": 5}], exclude=[{"lr": 1, "wd": 5}])
    assert grid.points() == [{"epochs": 3, "lr": 1, "wd": 0}, {"epochs": 3, "lr": 2, "wd": 0},
                             {"epochs": 3, "lr": 2, "wd": 5}, {"epochs": 1, "lr": 9}]
    assert grid.varying() == ["lr", "wd", "epochs"]


def test_no_axis_is_one_point_and_includes_alone_are_all():
    assert Grid(base={"a": 1}).points() == [{"a": 1}]
    assert Grid(include=[{"a": 1}, {"a": 2}]).points() == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(("grid", "message"), [
    (Grid(axes={"lr": []}), "axis 'lr' has no values; allowed: at least one"),
    (Grid(axes={"lr": [1]}, zip=[{"lr": [2]}]), "parameter 'lr' is in two axes"),
    (Grid(zip=[{"a": [1, 2], "b": [3]}]), "zipped axes must be of one length: a has 2, b has 1"),
    (Grid(axes={"rate": [1]}, exclude=[{"rates": 1}]), r"exclude names 'rates', which no point has.")])
def test_grids_that_make_no_sense(grid, message):
    with pytest.raises(ValueError, match=message):
        grid.points()


@pytest.mark.parametrize(("text", "expected"), [
    ("lr=1e-3,1e-4", ("lr", [1e-3, 1e-4])), ("seed=0..4", ("seed", [0, 1, 2, 3, 4])),
    ("seed=-1..1", ("seed", [-1, 0, 1])), ("model=resnet18", ("model", ["resnet18"])),
    ("flag=true,false", ("flag", [True, False])), ("x=null", ("x", [None])),
    ('name="a, b",c', ("name", ["a, b", "c"])), ("betas=[0.9, 0.99],[0.8, 0.9]", ("betas", [[0.9, 0.99], [0.8, 0.9]])),
    ("options={theta: 50}", ("options", [{"theta": 50}])), ("name=", ("name", [""]))])
def test_axes_on_the_command_line(text, expected):
    assert parse_axis(text) == expected


@pytest.mark.parametrize(("text", "message"), [
    ("lr", "expected name=value or name=value,value, got 'lr'"), ("1r=3", "expected name=value"),
    ("seed=4..0", "'seed=4..0' counts down; allowed: low..high"), ("x=[1", r"the values of 'x' are not YAML: '\[1'")])
def test_axes_that_are_none(text, message):
    with pytest.raises(ValueError, match=message):
        parse_axis(text)


def test_a_file(tmp_path):
    path = tmp_path / "grid.yml"
    path.write_text("base: {epochs: 3}\naxes:\n  lr: [1e-3, 1e-4]\nzip:\n  - {a: [1, 2], b: [3, 4]}\n"
                    "include:\n  - {lr: 1}\nexclude:\n  - {a: 1, lr: 1e-4}\n")
    assert read_grid(path) == Grid(base={"epochs": 3}, axes={"lr": [1e-3, 1e-4]}, zip=[{"a": [1, 2], "b": [3, 4]}],
                                   include=[{"lr": 1}], exclude=[{"a": 1, "lr": 1e-4}])


@pytest.mark.parametrize(("text", "message"), [
    ("base: {}\naxis:\n  lr: [1]\n", r"grid.yml, line 2: unknown key 'axis'; allowed: base, .* Did you mean 'axes'\?"),
    ("axes:\n  lr: 3\n", "grid.yml, line 1: axes must be a mapping of names to lists of values, got {'lr': 3}"),
    ("base: [1]\n", "line 1: base must be a mapping"), ("zip: {a: [1]}\n", "line 1: zip must be a list of mappings"),
    ("include: 3\n", "line 1: include must be a list"), ("- 1\n", "expected the keys base, axes"),
    ("axes: {lr: [1}", "grid.yml is not YAML: .*line 1"), ("axes: !!python/object:os.system {}", "is not YAML")])
def test_files_that_are_none(text, message, tmp_path):
    (tmp_path / "grid.yml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_grid(tmp_path / "grid.yml")
