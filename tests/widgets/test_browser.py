"""The widgets in a real browser: notebooks run, sliders are moved by keyboard, figures follow, nothing complains."""

import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("pages", Path(__file__).with_name("pages.py"))
pages = sys.modules["pages"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pages)

pytestmark = pytest.mark.timeout(600)
# notebook, picture of its widget, the slider that is moved
WIDGETS = [("01_what_is_an_optimizer", "landscape", "spike at step"), ("05_adamw_spam", "spikes", "first spike at"),
           ("04_adamw_adv", "schedules", "warm-up after it"), ("12_speed_and_memory", "memory", None),
           ("06_adamw_prune", "pruning", "sparsity"), ("09_optimizer_study", "runs", "smoothing"),
           ("11_hyperparameters", "advisor", None)]


@pytest.fixture(params=WIDGETS, ids=lambda widget: widget[1])
def opened(request, browser, lab):
    notebook, picture, slider = request.param
    page = pages.NotebookPage(browser, lab, notebook)
    yield page, picture, slider
    page.close()


def test_a_notebook_runs_and_its_figure_follows_a_slider(opened):
    page, picture, slider = opened
    assert pages.errors(page.run_all()) == []
    page.keep(picture)
    if slider is not None:
        follows(page, slider)
    takes_away(page, page.notebook)
    assert page.errors == []


def follows(page, slider):
    """A key on the slider's handle, and the figure is another, in the same place."""
    pages.until(lambda: page.output().bounding_box() == page.output().bounding_box(), 20)  # the page has settled
    before, place = page.picture(), page.output().bounding_box()
    page.move(slider)
    pages.until(lambda: page.picture() != before, 60)
    pages.until(lambda: page.output().bounding_box() == place, 20)  # nothing jumps
    said = page.output().locator(".widget-label").filter(has_text=re.compile(r"^\d+ ms$"))
    assert int(said.inner_text().split()[0]) > 0, "it says what the redraw took"


def takes_away(page, notebook):
    """The buttons answer with code and with a command."""
    command = f"mkdir -p runs && papermill notebooks/{notebook}.ipynb"
    for button, begins in (("As code", "from adamw_lab"), ("As a command", command)):
        page.output().locator(f"button:text-is('{button}')").click()
        text = page.output().locator("textarea").last
        pages.until(lambda text=text, begins=begins: text.input_value().startswith(begins), 60)
    assert "explorer" in json.loads(shlex.split(text.input_value())[-1])
