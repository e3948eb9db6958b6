"""The committed figures by name: redrawn, exported, and listed with what they are drawn from."""

import json
from pathlib import Path

import pytest

from adamw_lab.figures import FIGURES, draw_all, manifest
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
