"""A notebook at its defaults: executed once for all tests of the module that is named after its number."""

import re
from pathlib import Path
from xml.etree import ElementTree

import papermill
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


@pytest.fixture(scope="module")
def book(request, tmp_path_factory):
    """The executed notebook: test_05.py gets 05_adamw_spam.ipynb."""
    path = next(NOTEBOOKS.glob(request.path.stem.removeprefix("test_") + "_*.ipynb"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        return papermill.execute_notebook(str(path), str(tmp_path_factory.mktemp("book") / "out.ipynb"),
                                          cwd=str(NOTEBOOKS), progress_bar=False)


@pytest.fixture(scope="module")
def said(book):
    """All that it printed or showed, as plain text."""
    return "".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") + "\n"
                   for cell in book.cells for output in cell.get("outputs", []))


@pytest.fixture(scope="module")
def metrics(book):
    """The numbers that it records: name -> value, in six digits."""
    cell = next(own for own in book.cells if own.cell_type == "code" and re.search(r"^metrics = ", own.source, re.M))
    html = next(output["data"]["text/html"] for output in cell.outputs if "text/html" in output.get("data", {}))
    rows = ElementTree.fromstring(re.search(r"<tbody>.*</tbody>", html, flags=re.DOTALL)[0])
    return {row.find("th").text: float(row.find("td").text) for row in rows}


@pytest.fixture(scope="module")
def findings(said):
    """Of its numbered findings that are claims: claim -> verdict, mean, low, high, seeds."""
    lines = re.findall(r"^\d+\. (.*): (supported|refuted|no difference found) "
                       r"\(([-+][^,;\s]+)(?:, (\S+) to (\S+); (\d+) seeds)?; ", said, flags=re.MULTILINE)
    return {claim: (verdict, float(mean), float(low or mean), float(high or mean), float(seeds or 1))
            for claim, verdict, mean, low, high, seeds in lines}
