"""`adamw-lab gallery`: pages of executed notebooks, linked with each other, for a browser without a network."""

import json
import re
from pathlib import Path

import nbformat
import pytest

from adamw_lab.cli.gallery import build, render

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
KERNEL = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}


def book(path, code):
    cells = [nbformat.v4.new_markdown_cell(f"# {path.stem[3:]} & more\n\n**Question.** Why $v$,\nand *when*?\n\nSoon."),
             nbformat.v4.new_markdown_cell("![a picture](../figures/a.png) [next](02_c.ipynb)\n\n$$ \\sqrt{x} $$"),
             nbformat.v4.new_code_cell("x: int = 20", metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell(code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), path)


@pytest.fixture
def site(tmp_path, capsys):
    """Its folder, and what building it said."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "figures" / "data").mkdir(parents=True)
    (tmp_path / "figures" / "a.png").write_bytes(b"png")
    book(tmp_path / "notebooks" / "00_a.ipynb", "print(x + 22)")
    book(tmp_path / "notebooks" / "01_b.ipynb", "1 / 0")
    book(tmp_path / "notebooks" / "02_c.ipynb", "x")
    assert build(tmp_path / "notebooks", tmp_path / "site", jobs=2) == 1
    return tmp_path / "site", capsys.readouterr().out


def test_every_notebook_that_runs_has_a_page(site):
    site, said = site
    page, last, index = ((site / name).read_text() for name in ("00_a.html", "02_c.html", "index.html"))
    assert "42" in page and 'src="figures/a.png"' in page and 'href="02_c.html"' in page
    assert '<a href="00_a.html">a &amp; more</a>' in index and "01_b" not in index
    assert re.search(r'<li value="2"><img src="figures/a.png" alt=""/?><a href="02_c.html">c', index)
    assert re.search(r"<p>Why <math[^>]*>.*</math>,\s+and <em>when</em>\?</p>", index) and "Soon" not in index
    assert (site / "figures" / "a.png").is_file() and not (site / "01_b.html").exists()
    assert "<title>00_a</title>" in page
    for text, neighbours in ((page, ["index.html", "02_c.html"]), (last, ["00_a.html", "index.html"])):
        for navigation in (found := re.findall(r"<nav.*?</nav>", text, flags=re.DOTALL)):
            assert re.findall(r'href="([^"]+)"', navigation) == neighbours
        assert len(found) == 2
    assert "failed: 01_b: cell 3: ZeroDivisionError: division by zero" in said and "2 done, 0 skipped" in said


def test_a_page_loads_nothing_from_elsewhere(site):
    site, _ = site
    for page in site.glob("*.html"):
        text = page.read_text()
        assert "<script" not in text and not re.search(r'(?:src|<link[^>]*href)="http', text)
    assert '<math display="block"' in (site / "00_a.html").read_text() and "$" not in re.sub(
        r"<style.*?</style>", "", (site / "00_a.html").read_text(), flags=re.DOTALL)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem[:2])
def test_every_formula_of_the_workbook_is_rendered(path):
    cells = json.loads(path.read_text())["cells"]
    source = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    shown = re.sub(r"<(pre|code).*?</\1>", "", render(source), flags=re.DOTALL)
    assert "$" not in shown
    for formula in re.findall(r"<math.*?</math>", shown, flags=re.DOTALL):
        assert "\\" not in formula and ">&<" not in formula and "&amp;" not in formula, "not understood"
