"""Notebook 00 at its defaults: the environment, the four forms of one rule, and a trained model."""

import re


def test_it_finds_what_it_says(book, said):
    gaps = dict(re.findall(r"^(\w+): equal to the printed rule within (\S+)$", said, flags=re.MULTILINE))
    assert set(gaps) == {"torch", "AdamWAdv", "AdamWSPAM", "AdamWPrune"}
    assert all(float(gap) < 1e-14 for gap in gaps.values())
    assert "The run finished: 11,172,810 weights, 60 steps" in said
    right = float(re.search(r"(\S+)% of 270 test images are read rightly; guessing would get about 10%", said)[1])
    assert 93 < right <= 100, "97.0 % was recorded; four standard errors of 270 images are 4.2 points"
    assert all(cell.execution_count for cell in book.cells if cell.cell_type == "code")
    assert re.search(r"\ntest_accuracy +0\.9", said) and re.search(r"\nsteps +60\n", said), "its numbers are recorded"


def test_it_names_the_studies_of_minutes(said):
    assert re.findall(r"^adamw-lab study (\S+) --profile quick$", said, flags=re.MULTILINE) == ["optimizers", "pruning"]
