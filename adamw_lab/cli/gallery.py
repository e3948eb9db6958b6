"""`adamw-lab gallery`: every notebook executed, as a static site that needs a browser and no network."""

import html
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import nbformat

from adamw_lab.experiments import Outcome, Point, inspect_parameters, make_executor, run_points
from adamw_lab.experiments.progress import Progress, tell
from adamw_lab.experiments.store import run_name

INDEX = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>adamw-lab</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 50em; margin: 2em auto; padding: 0 1em; }}
li {{ margin: 1.5em 0; display: flow-root; }}
img {{ float: right; max-width: 15em; max-height: 12em; margin-left: 1.5em; }}
p {{ margin: .3em 0; }}</style>
<h1>adamw-lab</h1><p>A workbook about the Adam family of optimizers, executed.</p><ol start="0">
{items}
</ol></html>
"""
# Without nbconvert's scripts, which it would load from elsewhere: formulas are MathML, and no output needs require.js.
TEMPLATE = """{% extends "lab/index.html.j2" %}
{% block html_head_js %}{% endblock %}
{% block html_head_js_mathjax %}{% endblock %}
{% block html_head_js_mermaidjs %}{% endblock %}
{% block body_header %}{{ super() }}{{ resources.navigation }}{% endblock %}
{% block body_footer %}{{ resources.navigation }}{{ super() }}{% endblock %}
"""
NAVIGATION = '<nav style="display: flex; justify-content: space-between; padding: 1em 0">{}</nav>'
ITEM = '<li value="{number}">{picture}<a href="{label}.html">{title}</a>{question}</li>'


def build(folder: Path, out: Path, jobs: int | None) -> int:
    """Execute the notebooks of `folder` at their defaults, those that are not done yet, and write their pages and an
    index to `out`; 0, or 1 if a notebook failed, which then has no page.

    The figures that they link to are copied beside the pages. Formulas are rendered here, so that pages load nothing.
    """
    points = [_point(path, out) for path in sorted(folder.glob("*.ipynb"))]
    executor = make_executor(points=points, jobs=jobs)
    with Progress(len(points), executor.slots) as progress:
        outcomes = run_points(points, executor, report=progress.report, tick=progress.tick)
    shutil.copytree(folder.parent / "figures", out / "figures", dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("data", "*.svg"))
    _write_site(outcomes, out)
    print(out / "index.html")
    return tell(outcomes)


def render(source: str) -> str:
    """Markdown as HTML, its formulas as MathML, which browsers show without help."""
    from latex2mathml.converter import convert
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def block_math(self, body: str) -> str:
            return convert(body, display="block")

        def inline_math(self, body: str) -> str:
            return convert(body)

    return MarkdownWithMath(renderer=Renderer(escape=False)).render(source)


def _point(notebook: Path, out: Path) -> Point:
    parameters = {name: parameter.default for name, parameter in inspect_parameters(notebook).items()}
    return Point(notebook.stem, notebook, parameters, out / "runs" / run_name(notebook.stem, notebook, parameters))


def _write_site(outcomes: Sequence[Outcome], out: Path) -> None:
    """A page for each notebook that did not fail, with links to its neighbours, and the index."""
    books = {outcome.point.label: _linked(nbformat.read(outcome.point.executed, as_version=4))
             for outcome in outcomes if outcome.status != "failed"}
    titles = {label: html.escape(book.cells[0].source.splitlines()[0].removeprefix("# "))
              for label, book in books.items()}
    labels = list(books)
    for place, (label, book) in enumerate(books.items()):
        around = [labels[place - 1] if place else None, *labels[place + 1 : place + 2]]
        links = [f'<a href="{other}.html">{arrow.format(titles[other])}</a>' if other else "<span></span>"
                 for other, arrow in zip(around, ("← {}", "{} →"), strict=False)]
        links.insert(1, '<a href="index.html">All notebooks</a>')
        (out / f"{label}.html").write_text(_page(book, label, NAVIGATION.format(" ".join(links))), encoding="utf-8")
    items = "\n".join(_item(label, titles[label], book) for label, book in books.items())
    (out / "index.html").write_text(INDEX.format(items=items), encoding="utf-8")


def _linked(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with links to pages and to the figures beside them."""
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace(".ipynb)", ".html)").replace("](../figures/", "](figures/")
    return book


def _page(book: nbformat.NotebookNode, label: str, navigation: str) -> str:
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter = HTMLExporter(exclude_input_prompt=True, exclude_output_prompt=True, template_file="gallery.html.j2",
                            extra_loaders=[DictLoader({"gallery.html.j2": TEMPLATE})],
                            filters={"markdown2html": render})
    resources = {"navigation": navigation, "metadata": {"name": label}}
    return exporter.from_notebook_node(book, resources=resources)[0]


def _item(label: str, title: str, book: nbformat.NotebookNode) -> str:
    """A notebook's entry in the index: its question, and its first picture where it has one."""
    question = re.search(r"\*\*Question\.\*\*\s+(.+?)(?:\n\n|\Z)", book.cells[0].source, flags=re.DOTALL)
    markdown = "\n".join(cell.source for cell in book.cells if cell.cell_type == "markdown")
    picture = re.search(r"!\[[^\]]*\]\((figures/[^)]+)\)", markdown)
    number = re.match(r"\d*", label)[0]
    return ITEM.format(number=int(number or 0), label=label, title=title,
                       picture=f'<img src="{picture[1]}" alt="">' if picture else "",
                       question=render(question[1]) if question else "")
