"""The run browser: any study's runs, filtered, grouped and smoothed, with their table and the code to get them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from adamw_lab.analysis.browse import recorded_studies
from adamw_lab.figures.browser import fig_browser
from adamw_lab.figures.runs import METRICS
from adamw_lab.widgets.controls import choice, slider, text
from adamw_lab.widgets.explorer import Explorer, explore
from adamw_lab.widgets.export import as_code
from adamw_lab.widgets.words import scrolling

GROUPS = ("optimizer", "arm", "lr", "weight_decay", "seed", "model", "dataset", "batch_size", "epochs", "parameters",
          "optimizer_options", "status")
FACTS = ("run", "optimizer", "lr", "weight_decay", "status")
ENDS = ("train_loss", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy", "sparsity", "seconds")
ROWS = 100
"""Of the table, at most."""
LAYOUT = {"width": 7.2, "height": 3.0}


def run_browser(studies: Sequence[str] = (), given: Mapping[str, Any] | None = None) -> Figure | Explorer:
    """`fig_browser` under controls, over all recorded studies and the `studies` named, as `open_study` takes them:
    folders, or names under `runs/`. `given` as in `explore`."""
    names = [*studies, *recorded_studies()]
    if not names:
        raise ValueError("no study is recorded, and none was named; allowed: folders of finished runs")
    first = "tuned-gpt-cpu" if "tuned-gpt-cpu" in names and not studies else names[0]
    controls = {
        "study": choice(first, {name: name for name in names}, "study", "whose runs are shown"),
        "where": text("", "filter", "a condition in pandas' words, such as optimizer == 'adamw' and lr < 0.01; empty: "
                      "all runs"),
        "group": choice("optimizer", GROUPS, "group by", "one colour and one mean for each value of it"),
        "metric": choice("validation_loss", {label: name for name, (label, _) in METRICS.items()}, "metric",
                         "after every epoch"),
        "x": choice("step", {"steps": "step", "seconds of training": "seconds", "epochs": "epoch"}, "against",
                    "what the curves are drawn over"),
        "smoothing": slider(0.0, 0.0, 0.95, "smoothing", "s of the average s·m + (1-s)·y over epochs, corrected for "
                            "the start; 0: none", step=0.05),
    }
    return explore(fig_browser, controls, given, **LAYOUT, notebook="09_optimizer_study", tell=runs_table, code=_code)


def runs_table(runs: pd.DataFrame) -> str:
    """The runs drawn, as an HTML table: what tells them apart, and how they ended."""
    shown = runs[[name for name in (*FACTS, *ENDS) if name in runs]].rename(columns=lambda name: name.replace("_", " "))
    rest = f", the first {ROWS} of them:" if len(shown) > ROWS else ":"
    table = shown.head(ROWS).to_html(index=False, float_format=lambda value: f"{value:.4g}", na_rep="", border=0)
    return scrolling(f"{len(shown)} runs{rest}{table}")


def _code(values: Mapping[str, Any]) -> str:
    """The figure, and the table of its runs."""
    return (f"{as_code(fig_browser, values, LAYOUT)}\n\nfrom adamw_lab.analysis.browse import open_study\n"
            f"runs = open_study({values['study']!r}).select({values['where']!r})\nruns")
