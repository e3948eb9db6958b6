"""The style: one colour and marker each, told apart by everybody; files that repeat byte for byte."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from adamw_lab.figures.amsgrad import RULES
from adamw_lab.figures.claims import SHADES
from adamw_lab.figures.gradients import NETWORKS
from adamw_lab.figures.memory import PARTS
from adamw_lab.figures.pruning import SCORES
from adamw_lab.figures.style import (
    COLOURS,
    MARKERS,
    NAMES,
    OTHER_COLOURS,
    OTHER_MARKERS,
    SPARE_COLOURS,
    SPARE_MARKERS,
    at_width,
    new_figure,
    save,
    share_row_labels,
    stacks,
    written,
)
from adamw_lab.optim import OPTIMIZERS, register

# Machado, Oliveira, Fernandes 2009, severity 1.
COLOUR_BLIND = {
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
}


def test_every_optimizer_has_a_colour_a_marker_and_a_name_of_its_own():
    for table in (COLOURS, MARKERS, NAMES):
        assert set(table) == set(OPTIMIZERS)
        assert len(set(table.values())) == len(table)


def lab(rgb):
    """CIE L*a*b* of linear sRGB."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = np.cbrt(np.clip(xyz / [0.9505, 1.0, 1.089], 1e-6, None))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def seen_as(colour, kind):
    """A colour in CIE L*a*b* as eyes of that kind see it."""
    linear = np.array([((c + 0.055) / 1.055) ** 2.4 if c > 0.04 else c / 12.92 for c in to_rgb(colour)])
    return lab(np.clip(np.array(COLOUR_BLIND[kind]) @ linear, 0, 1))


@pytest.mark.parametrize("kind", COLOUR_BLIND)
def test_supported_and_refuted_differ_for_colour_blind_eyes(kind):
    seen = [seen_as(SHADES[verdict], kind) for verdict in ("supported", "refuted")]
    assert np.linalg.norm(seen[0] - seen[1]) > 10


@pytest.mark.parametrize("kind", COLOUR_BLIND)
def test_the_studied_optimizers_differ_for_colour_blind_eyes(kind):
    seen = {}
    studied = {name: COLOURS[name] for name in ("sgd", "adam", "adamw", "adamwadv", "adamwspam", "adamwprune")}
    for name, colour in {**studied, **{colour: colour for colour in SPARE_COLOURS}}.items():
        seen[name] = seen_as(colour, kind)
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 10, (one, other)


def test_what_a_reader_registers_looks_like_none_of_the_others(lion, fresh_names):
    assert not set(SPARE_COLOURS) & set(COLOURS.values()) and not set(SPARE_MARKERS) & set(MARKERS.values())
    names = ["lion", *(f"mine_{i}" for i in range(15))]
    for i, name in enumerate(names[1:]):
        register(name, type(f"Mine{i}", (lion,), {}))
    assert len({COLOURS[name] for name in names[:4]}) == len({MARKERS[name] for name in names[:4]}) == 4
    assert len({(COLOURS[name], MARKERS[name]) for name in names}) == 16
    assert NAMES["lion"] == "Lion" and NAMES["mine_3"] == "Mine3" and set(NAMES) == set(COLOURS)


def test_a_class_that_is_called_like_another_goes_by_the_name_it_is_registered_under(lion, fresh_names):
    register("adamw_of_mine", type("AdamW", (lion,), {}))
    register("lion_2", type("Lion", (lion,), {}))
    assert [NAMES[name] for name in ("adamw_of_mine", "lion_2", "lion")] == ["adamw_of_mine", "lion_2", "lion"]


DRAW = """
import sys
import pandas as pd
from adamw_lab.figures import save, study_figure
runs = pd.DataFrame({"optimizer": ["sgd", "adamw"], "seed": [0, 0], "validation_accuracy": [0.9, 0.95],
                     "sparsity": [0.0, 0.7]})
epochs = pd.DataFrame({"optimizer": ["sgd", "sgd", "adamw", "adamw"], "seed": 0, "epoch": [1, 2, 1, 2],
                       "validation_accuracy": [0.5, 0.9, 0.6, 0.95]})
save(study_figure(runs, epochs), sys.argv[1])
"""


def test_two_processes_draw_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        subprocess.run([sys.executable, "-c", DRAW, str(tmp_path / name)], check=True)
    for suffix in ("svg", "png"):
        first, second = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two"))
        assert first == second and len(first) > 1000
    svg = (tmp_path / "one.svg").read_text()
    assert "<dc:date>" not in svg and "Matplotlib v" not in svg
    assert b"Software" not in (tmp_path / "one.png").read_bytes()


def test_only_the_two_files_are_left(tmp_path):
    figure, (ax,) = new_figure()
    ax.plot([1, 2])
    assert save(figure, tmp_path / "sub" / "line") == [tmp_path / "sub" / "line.svg", tmp_path / "sub" / "line.png"]
    assert sorted(path.name for path in (tmp_path / "sub").iterdir()) == ["line.png", "line.svg"]


def test_saving_lays_a_figure_out_once_and_leaves_its_layout_to_go_on(tmp_path):
    figure, (ax,) = new_figure()
    ax.plot([1, 2])
    engine = figure.get_layout_engine()
    (alone,) = save(figure, tmp_path / "alone", ["png"])
    both = save(figure, tmp_path / "both")
    assert figure.get_layout_engine() is engine
    assert alone.read_bytes() == both[1].read_bytes(), "whatever other formats there are"


def test_panels_stand_in_rows_and_in_a_narrow_figure_under_each_other():
    figure, axes = new_figure(2, rows=2, width=7.0, height=4.0)
    assert [ax.get_subplotspec().rowspan.start for ax in axes] == [0, 0, 1, 1]
    with at_width(3.0):
        figure, axes = new_figure(2, rows=2, width=7.0, height=4.0)
    assert [ax.get_subplotspec().rowspan.start for ax in axes] == [0, 1, 2, 3]
    assert tuple(figure.get_size_inches()) == (3.0, 8.0)


def test_a_row_has_its_labels_once_and_panels_under_each_other_each_their_own():
    for width, labels in ((None, [2, 0, 2, 0]), (3.0, [2, 2, 2, 2])):
        with at_width(width):
            assert stacks(7.0) == (width is not None)
            _, axes = new_figure(2, rows=2, width=7.0)
            for ax in axes:
                ax.set_yticks([0, 1], ["a", "b"])
            share_row_labels(axes)
        assert [sum(bool(text.get_text()) for text in ax.get_yticklabels()) for ax in axes] == labels


def test_rows_that_differ_from_those_to_the_left_are_named_within_their_panel():
    _, axes = new_figure(2, width=7.0)
    axes[0].set_yticks([0, 1], ["a", "b"])
    axes[1].set_yticks([0], ["b"])
    share_row_labels(axes)
    assert [text.get_text() for text in axes[1].texts] == ["b"] and not axes[0].texts
    assert written(-0.5) == "−0.5"


def test_a_title_that_is_too_long_for_the_figure_goes_on_beneath():
    with at_width(3.3):
        figure, (ax,) = new_figure(width=3.3)
        ax.set_title("A title that is far too long for a figure as narrow as this one")
        figure.draw_without_rendering()
    (title,) = (text for text in ax.get_children() if getattr(text, "get_text", str)().startswith("A title"))
    extent = title.get_window_extent()
    assert extent.x1 <= figure.bbox.width and extent.height > 20, "two lines"


def test_what_is_no_optimizer_has_no_optimizers_colour_or_marker():
    others = {colour for colour, _ in (*SCORES.values(), *NETWORKS.values(), *PARTS.values())} | {*SHADES.values()}
    others.add(RULES[True][1])
    assert not (others | set(OTHER_COLOURS.values())) & {*COLOURS.values(), *SPARE_COLOURS}
    assert len({colour for colour, _ in SCORES.values()}) == len(SCORES)
    assert not {marker for _, marker in SCORES.values()} & {*MARKERS.values(), *SPARE_MARKERS}
    assert len({marker for _, marker in SCORES.values()}) == len(SCORES)
    assert not {*OTHER_MARKERS.values()} & {*MARKERS.values(), *SPARE_MARKERS}
