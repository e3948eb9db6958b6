"""`adamw-lab gallery`: pages of executed notebooks, linked with each other and with the figures."""

import nbformat

from adamw_lab.cli.gallery import build

KERNEL = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}


def book(path, code):
    cells = [nbformat.v4.new_markdown_cell("# A title & more\n\n![a picture](../figures/a.png) [next](01_b.ipynb)"),
             nbformat.v4.new_code_cell("x: int = 20", metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell(code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=KERNEL), path)


def test_every_notebook_that_runs_has_a_page(tmp_path, capsys):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "figures" / "data").mkdir(parents=True)
    (tmp_path / "figures" / "a.png").write_bytes(b"png")
    book(tmp_path / "notebooks" / "00_a.ipynb", "print(x + 22)")
    book(tmp_path / "notebooks" / "01_b.ipynb", "1 / 0")
    assert build(tmp_path / "notebooks", tmp_path / "site", jobs=2) == 1
    page, index = ((tmp_path / "site" / name).read_text() for name in ("00_a.html", "index.html"))
    assert "42" in page and 'src="figures/a.png"' in page and 'href="01_b.html"' in page
    assert '<a href="00_a.html">A title &amp; more</a>' in index and "01_b" not in index
    assert (tmp_path / "site" / "figures" / "a.png").is_file() and not (tmp_path / "site" / "01_b.html").exists()
    said = capsys.readouterr().out
    assert "failed: 01_b: cell 3: ZeroDivisionError: division by zero" in said and "1 done, 0 skipped" in said
