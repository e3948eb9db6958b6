"""The committed figures by name: redrawn, exported, and listed with what they are drawn from."""

import itertools
import json
from pathlib import Path

import pandas as pd
import pytest

from adamw_lab.figures import FIGURES, draw_all, manifest
from adamw_lab.figures.registry import draw
from adamw_lab.figures.style import at_width, new_figure

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "figures" / "data"


def test_all_committed_figures_are_redrawn_to_the_byte(tmp_path):
    """With the versions of constraints.txt, which make uses."""
    written = draw_all(tmp_path, DATA)
    assert {path.stem for path in written} == {path.stem for path in DATA.parent.glob("*.svg")} == set(FIGURES)
    for path in written:
        assert path.read_bytes() == (DATA.parent / path.name).read_bytes(), path.name


def test_the_committed_manifest_is_that_of_the_data():
    assert json.loads((DATA.parent / "manifest.json").read_text(encoding="utf-8")) == manifest(DATA)


@pytest.mark.parametrize("name", FIGURES)
def test_each_is_shown_by_its_notebook_or_the_readme(name):
    figure = FIGURES[name]
    notebook = ROOT / "notebooks" / figure.notebook
    assert f"figures/{name}.png" in notebook.read_text(encoding="utf-8")
    assert figure.caption.endswith(".")


def test_an_export_has_the_width_and_the_format_and_repeats(tmp_path):
    for folder in ("one", "two"):
        (written,) = draw_all(tmp_path / folder, DATA, names=["optimizers-quick"], formats=["pdf"], width=3.3)
    assert written.name == "optimizers-quick.pdf"
    content = written.read_bytes()
    assert content == (tmp_path / "one" / written.name).read_bytes() and f"{3.3 * 72:g}".encode() in content


@pytest.fixture(scope="module")
def narrow():
    """name -> each committed figure as it is 3.3 inches wide, laid out."""
    drawn = {name: draw(name, DATA, 3.3) for name in FIGURES}
    for figure in drawn.values():
        figure.draw_without_rendering()
    return drawn


@pytest.mark.parametrize("name", FIGURES)
def test_in_a_column_it_fits_the_page_and_no_text_lies_upon_another(narrow, name):
    figure = narrow[name]
    assert figure.get_figheight() <= 9
    box = figure.get_tightbbox()
    assert box.x0 > -0.02 and box.x1 < 3.32 and box.y0 > -0.02 and box.y1 < figure.get_figheight() + 0.02
    texts = [text for text in written_on(figure) if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 6
    extents = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_rotation() % 90 == 0]
    clashes = [(one[0], other[0]) for one, other in itertools.combinations(extents, 2) if overlap(one[1], other[1])]
    assert not clashes


def written_on(figure):
    """Every text that is drawn, by where it comes from."""
    for ax in figure.axes:
        yield from ax.texts
        if ax.axison:
            yield from (ax._left_title, ax.xaxis.label, ax.yaxis.label)
            for axis in (ax.xaxis, ax.yaxis):
                low, high = sorted(axis.get_view_interval())
                yield from (tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high)
        if ax.get_legend() is not None:
            yield from ax.get_legend().get_texts()
    for legend in figure.legends:
        yield from legend.get_texts()
    yield from figure.texts


def overlap(one, other):
    """By more than a pixel of 120 an inch each way: extents are those of whole lines, with room for descenders."""
    return min(one.x1, other.x1) - max(one.x0, other.x0) > 1 and min(one.y1, other.y1) - max(one.y0, other.y0) > 2


def test_the_caption_of_the_study_says_how_many_seeds_resnet50_has():
    runs = [pd.read_csv(DATA / f"{kind}-resnet50-cpu.csv") for kind in ("defaults", "tuned")]
    assert {table["seed"].nunique() for table in runs} == {3}
    assert "three on ResNet-50" in FIGURES["optimizer-study"].caption


@pytest.mark.parametrize("name", ["betas-study", "spam-study", "optimizer-study", "your-own"])
def test_a_grey_band_is_explained(name):
    assert "grey band" in FIGURES[name].caption


def test_panels_that_would_be_too_narrow_are_stacked():
    with at_width(3.3):
        stacked, axes = new_figure(2, width=7.0, height=2.5)
        beside, _ = new_figure(2, width=3.4, height=2.0)
    assert stacked.get_size_inches().tolist() == [3.3, 5.0] and len(axes) == 2
    assert beside.get_size_inches().tolist() == [3.3, 2.0]
    assert new_figure(2, width=7.0)[0].get_size_inches()[0] == 7.0


def test_bad_input_names_what_is_allowed(tmp_path):
    with pytest.raises(ValueError, match="unknown figure 'memry'; allowed: .*Did you mean 'memory'"):
        draw_all(tmp_path, DATA, names=["memry"])
    with pytest.raises(ValueError, match="unknown format 'bmp'; allowed: svg, png, pdf"):
        draw_all(tmp_path, DATA, names=["memory"], formats=["bmp"])
    with pytest.raises(ValueError, match=r"width: 0.5 inches is not allowed; allowed: 2 to 20"):
        draw_all(tmp_path, DATA, width=0.5)
    with pytest.raises(ValueError, match="figure 'optimizers-quick': no numbers at .*optimizers-quick.csv"):
        draw_all(tmp_path, tmp_path)
