"""`adamw-lab gallery`: every notebook executed, as a static site that needs nothing but a browser."""

import html
import shutil
from pathlib import Path

import nbformat

from adamw_lab.experiments import Outcome, Point, inspect_parameters, make_executor, run_points
from adamw_lab.experiments.progress import Progress, tell
from adamw_lab.experiments.store import run_name

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>adamw-lab</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 44em; margin: 2em auto; padding: 0 1em; }}
li {{ margin: .6em 0; }}</style>
<h1>adamw-lab</h1><p>A workbook about the Adam family of optimizers, executed.</p><ol start="0">
{items}
</ol></html>
"""


def build(folder: Path, out: Path, jobs: int | None) -> int:
    """Execute the notebooks of `folder` at their defaults, those that are not done yet, and write their pages and an
    index to `out`; 0, or 1 if a notebook failed, which then has no page.

    The figures that they link to are copied beside the pages.
    """
    points = [_point(path, out) for path in sorted(folder.glob("*.ipynb"))]
    executor = make_executor(points=points, jobs=jobs)
    with Progress(len(points), executor.slots) as progress:
        outcomes = run_points(points, executor, report=progress.report, tick=progress.tick)
    shutil.copytree(folder.parent / "figures", out / "figures", dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("data", "*.svg"))
    items = [_page(outcome, out) for outcome in outcomes if outcome.status != "failed"]
    (out / "index.html").write_text(PAGE.format(items="\n".join(items)), encoding="utf-8")
    print(out / "index.html")
    return tell(outcomes)


def _point(notebook: Path, out: Path) -> Point:
    parameters = {name: parameter.default for name, parameter in inspect_parameters(notebook).items()}
    return Point(notebook.stem, notebook, parameters, out / "runs" / run_name(notebook.stem, notebook, parameters))


def _page(outcome: Outcome, out: Path) -> str:
    """Write one notebook's page; its entry in the index."""
    from nbconvert import HTMLExporter

    point = outcome.point
    book = nbformat.read(point.executed, as_version=4)
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace(".ipynb)", ".html)").replace("](../figures/", "](figures/")
    page, _ = HTMLExporter(exclude_input_prompt=True, exclude_output_prompt=True).from_notebook_node(book)
    (out / f"{point.label}.html").write_text(page, encoding="utf-8")
    title = book.cells[0].source.splitlines()[0].removeprefix("# ")
    return f'<li><a href="{point.label}.html">{html.escape(title)}</a></li>'
