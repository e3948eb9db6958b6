"""The figure of pruning on several bases shows each base's accuracy by sparsity, a panel a score."""

import pandas as pd
import pytest

from adamw_lab.figures.bases import bases_figure, crossed
from adamw_lab.figures.style import COLOURS, at_width


@pytest.fixture
def runs():
    rows = [{"arm": f"{base}_{score}_{target}", "optimizer": "adamwprune", "seed": seed, "status": "finished",
             "test_accuracy": 0.9 - target / 10 - place / 100 - seed / 50}
            for place, base in enumerate(("adamw", "adamwspam")) for score in ("hybrid", "random")
            for target in (0.95, 0.5) for seed in (0, 1)]
    rows += [{"arm": f"dense_{base}", "optimizer": base, "seed": 0, "status": "finished", "test_accuracy": 0.95}
             for base in ("adamw", "adamwspam")]
    return pd.DataFrame(rows)


def test_arms_are_taken_apart(runs):
    table = crossed(runs)
    assert len(table) == 16 and set(table["base"]) == {"adamw", "adamwspam"} and set(table["target"]) == {0.5, 0.95}
    runs.loc[0, "status"] = "diverged"
    assert len(crossed(runs)) == 15


def test_a_line_a_base_a_panel_a_score(runs):
    axes = bases_figure(runs).axes
    assert [ax.get_title("left") for ax in axes] == ["hybrid", "random"]
    adamw, spam = (bars.lines[0] for bars in axes[0].containers)
    assert adamw.get_ydata().tolist() == pytest.approx([84.0, 79.5]) and adamw.get_color() == COLOURS["adamw"]
    assert spam.get_ydata().tolist() == pytest.approx([83.0, 78.5])
    assert [text.get_text() for text in axes[0].get_xticklabels()] == ["50", "95"]


def test_a_narrow_one_fits_a_page(runs):
    with at_width(3.3):
        assert bases_figure(runs).get_figheight() < 9
