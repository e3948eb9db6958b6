"""A live training in a real browser: started, watched, paused, stopped and resumed, while another cell is executed."""

import importlib.util
import sys
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("pages", Path(__file__).with_name("pages.py"))
pages = sys.modules["pages"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pages)

EPOCH = 20
"""Steps of an epoch there."""
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def page(browser, lab):
    opened = pages.NotebookPage(browser, lab, "00_start_here")
    yield opened
    opened.close()


def press(page, label):
    page.output().locator(f"button:text-is('{label}')").click()


def says(page, state, seconds=60):
    """Wait until the widget tells this state; what it says."""
    words = page.output().locator(f".widget-html-content:has(b:text-is('{state}'))")
    words.wait_for(timeout=1000 * seconds)
    return words.inner_text()


def runs_a_cell(page):
    """Another cell is executed, and has ended, while the training still runs."""
    cell = page.page.locator(".jp-CodeCell:has-text('images are read rightly')").first
    prompt = cell.locator(".jp-InputPrompt").first
    before = prompt.inner_text()
    cell.locator(".cm-content").first.click()
    page.page.keyboard.press("Shift+Enter")
    pages.until(lambda: prompt.inner_text() not in (before, "[*]:", ""), 60)
    says(page, "running", 5)


def steps(text):
    return int(text.split("step ")[1].split()[0])


def test_a_training_starts_is_watched_paused_stopped_and_resumed(page):
    assert pages.errors(page.run_all(150)) == []
    before = page.picture()
    press(page, "Start")
    says(page, "running")
    first = pages.until(lambda: page.picture() != before and page.picture(), 60)
    pages.until(lambda: page.picture() != first, 60)
    runs_a_cell(page)
    press(page, "Pause")
    paused = says(page, "paused")
    assert 0 < steps(paused) and page.output().locator("button:text-is('Go on')").is_enabled()
    press(page, "Stop")
    assert steps(says(page, "stopped")) == steps(paused)
    assert list((page.lab.folder / "runs" / "live").glob("*/checkpoints/*"))
    press(page, "Resume")
    pages.until(lambda: steps(says(page, "running")) > max(steps(paused), EPOCH + 5), 60)
    press(page, "Pause")
    again = says(page, "paused")
    page.keep("live")
    press(page, "Stop")
    assert steps(says(page, "stopped")) == steps(again)
    assert page.errors == []
