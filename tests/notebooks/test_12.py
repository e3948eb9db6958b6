"""Notebook 12 finds what the recorded numbers say, with and without measuring anew."""

import re
from pathlib import Path

import pandas as pd
import papermill
import pytest

ROOT = Path(__file__).resolve().parents[2]
PATH = ROOT / "notebooks" / "12_speed_and_memory.ipynb"


def said_by(tmp_path, monkeypatch, folder, **parameters):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = papermill.execute_notebook(str(PATH), str(tmp_path / "out.ipynb"), parameters=parameters,
                                      progress_bar=False)
    return "".join(output.get("text", "") + "".join(output.get("data", {}).get("text/plain", ""))
                   for cell in book.cells if cell.cell_type == "code" for output in cell.outputs)


def test_it_measures_here_and_pruning_costs_no_byte_a_weight(said):
    assert "12 ways to train, 11,173,962 parameters: as measured, to the byte" in said
    assert int(re.search(r"70\.0% pruned; \+(\d+) bytes", said)[1]) < 500
    assert re.search(r"here: copy [\d.e+]+ GB/s, in place [\d.e+]+ GB/s", said)
    assert "ratio here, AdamWPrune, steady" in said and "ratio here, torch fused" in said


def test_without_measuring_it_tells_the_recorded_numbers(tmp_path, monkeypatch):
    said = said_by(tmp_path, monkeypatch, ROOT, measure_here=False, your_optimizer="adamwprune", your_dtype="bfloat16")
    table = pd.read_csv(ROOT / "figures" / "data" / "step_time.csv").set_index("contender")
    ours = table.loc["terms_off", "ratio"]
    assert f"ours with all terms off takes {ours.min():.2f} to {ours.max():.2f} of the time" in said
    pace = re.search(r"On GPT-2 124 M torch's fused step moves (\d\.\d+) times the bytes a second", said)[1]
    assert 0.75 < float(pace) < 3
    beside = table["gigabytes_per_second"] / table["copy_gigabytes_per_second"]
    assert f"moves up to {beside.max():.2f} times the bytes a second of a copy; of {len(beside)}, " in said
    assert f"{(beside > 1).sum()} are faster than a copy, {(beside > 1.5).sum()} faster than one with its" in said
    training = pd.read_csv(ROOT / "figures" / "data" / "training.csv").pivot(index="model", columns="way")["ratio"]
    alike, again = training["fit, float32"], training["fit"] / training["fit, float32"]
    assert (f"fit is {alike.min():.2f} to {alike.max():.2f} times as fast as the tutorial's loop; bfloat16 makes it "
            f"{again.min():.2f} to {again.max():.2f} times as fast again") in said
    assert "not measured here" in said and "ratio here" not in said
    keeps = re.search(r"AdamWPrune keeps (\d+) bytes for [\d,]+ prunable weights, a byte mask ([\d,]+)\.", said)
    assert int(keeps[1]) < 1000 < int(keeps[2].replace(",", "")) == pytest.approx(11_164_352)


def test_an_unknown_model_is_refused_before_anything_is_measured(tmp_path, monkeypatch):
    with pytest.raises(papermill.PapermillExecutionError, match="unknown live_model 'vgg'; allowed: lenet5, resnet18"):
        said_by(tmp_path, monkeypatch, ROOT, measure_here=False, live_model="vgg")
