"""A notebook in JupyterLab, as somebody sees and moves it."""

import time
from contextlib import suppress
from pathlib import Path
from threading import Thread
from urllib.request import Request, urlopen

import nbformat
from PIL import Image

KEPT = Path(__file__).resolve().parents[2] / "runs" / "screenshots"
PROMPTS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(e => e.textContent)"


class NotebookPage:
    """A copy of a notebook, opened; `errors` is what the browser's console complained of."""

    def __init__(self, browser, lab, notebook):
        self.lab, self.notebook, self.errors = lab, notebook, []
        self.key = {"Authorization": f"token {lab.token}"}
        self.page = browser.new_page(viewport={"width": 1280, "height": 1400})
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        # A workspace of its own, or the notebooks opened before would come back.
        self.page.goto(f"{lab.url}lab/workspaces/{notebook}/tree/notebooks/{notebook}.ipynb?token={lab.token}",
                       timeout=120_000)
        self.page.locator(".jp-CodeCell").first.wait_for(timeout=180_000)
        self.kernel = until(self._connected, 180)

    def _hear(self, said):
        if said.type == "error":
            self.errors.append(f"{said.text} {said.location['url']}")

    def _connected(self):
        """Its kernel, once that is ready and the page listens: until then cells are run in vain."""
        for session in self.page.request.get(f"{self.lab.url}api/sessions", headers=self.key).json():
            kernel = session["kernel"]
            if session["path"] == f"notebooks/{self.notebook}.ipynb" and kernel["connections"]:
                return kernel["id"] if kernel["execution_state"] == "idle" else None

    def close(self):
        """Close the page, and have its kernel stopped meanwhile."""
        self.page.close()
        Thread(target=self._stop_kernel, daemon=True).start()

    def _stop_kernel(self):
        end = Request(f"{self.lab.url}api/kernels/{self.kernel}", headers=self.key, method="DELETE")
        with suppress(OSError):  # the server may be stopped first
            urlopen(end)

    def run_all(self, seconds=200):
        """Run all cells, wait for the last, and save; the notebook with its outputs."""
        self.page.click(".lm-MenuBar-itemLabel:text-is('Run')")
        self.page.click(".lm-Menu-itemLabel:text-is('Run All Cells')")
        self.page.wait_for_function(f"{PROMPTS}.includes('[*]:')", timeout=60_000)
        self.page.wait_for_function(f"!{PROMPTS}.includes('[*]:')", timeout=1000 * seconds)
        self.page.keyboard.press("Control+s")
        return until(self._executed, 60)

    def _executed(self):
        """The saved notebook, once all its cells have run or one has failed."""
        try:
            book = nbformat.read(self.lab.folder / f"{self.notebook}.ipynb", as_version=4)
        except nbformat.reader.NotJSONError:  # half written
            return None
        cells = [cell for cell in book.cells if cell.cell_type == "code"]
        return book if all(cell.execution_count for cell in cells) or errors(book) else None

    def output(self):
        """The output that the explorer is in."""
        found = self.page.locator(".jp-OutputArea-output:has(.widget-vbox)").first
        found.scroll_into_view_if_needed()
        return found

    def picture(self):
        """The explorer's figure, as the screen shows it."""
        return self.output().locator("img.widget-image").first.screenshot()

    def move(self, label, key="ArrowRight"):
        """Press a key on the handle of the slider of that name."""
        row = self.output().locator(f".widget-inline-hbox:has(.widget-label:text-is('{label}'))")
        row.locator(".noUi-handle").press(key)

    def keep(self, name):
        """A picture of the explorer under runs/screenshots, every colour as it was shown."""
        KEPT.mkdir(parents=True, exist_ok=True)
        path = KEPT / f"{name}.png"
        self.output().screenshot(path=path)
        Image.open(path).convert("RGB").save(path, optimize=True)
        return path


def errors(book):
    """What failed in an executed notebook."""
    return [output.evalue for cell in book.cells for output in cell.get("outputs", [])
            if output.output_type == "error"]


def until(find, seconds):
    """What `find` finds as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"waited {seconds} seconds in vain"
        time.sleep(0.05)
    return found
