"""Losses and what counts as right, by hand; and that every task trains."""

import math

import pytest
import torch

from adamw_lab.data import load_data
from adamw_lab.training import TrainConfig, fit
from adamw_lab.training.tasks import TASKS


def test_classification_by_hand():
    task = TASKS["classification"]
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]))
    labels = torch.tensor([0, 1])
    assert float(task.loss(logits, labels, 0.0)) == pytest.approx(-(math.log(0.5) + math.log(0.1)) / 2)
    assert int(task.right(logits, labels)) == 1 and task.count(labels) == 2


def test_language_counts_tokens():
    task = TASKS["language"]
    logits = torch.zeros(2, 3, 4)
    targets = torch.zeros(2, 3, dtype=torch.int64)
    logits[0, 1, 2] = 9.0
    assert int(task.right(logits, targets)) == 5 and task.count(targets) == 6
    assert float(task.loss(torch.zeros(2, 3, 4), targets, 0.0)) == pytest.approx(math.log(4))


def test_regression_counts_what_is_close():
    task = TASKS["regression"]
    outputs, targets = torch.tensor([[1.0], [0.5]]), torch.tensor([[1.03], [0.6]])
    assert float(task.loss(outputs, targets, 0.0)) == pytest.approx((0.03**2 + 0.1**2) / 2, rel=1e-5)
    assert int(task.right(outputs, targets)) == 1 and task.count(targets) == 2


@pytest.mark.parametrize("fields", [
    dict(model="lstm", dataset="adding_problem", train_size=640, data_options={"length": 10}, lr=3e-3,
         model_options={"hidden": 32}),
    dict(model="gpt", dataset="pydoc_text", train_size=20_000, data_options={"context": 32}, lr=3e-3,
         model_options={"layers": 1, "width": 32, "heads": 2})])
@pytest.mark.parametrize("optimizer", ["adamwspam", "adamwprune"])
def test_sequences_train(fields, optimizer, tmp_path):
    config = TrainConfig(**fields, epochs=4, batch_size=32, device="cpu", precision="float32", threads=1,
                         optimizer=optimizer, optimizer_options={"update_every": 5} if "prune" in optimizer else {})
    result = fit(config, tmp_path, progress=False)
    losses = result.history["train_loss"]
    digest = load_data("pydoc_text").digest if config.dataset == "pydoc_text" else None
    assert result.summary["data_digest"] == digest
    assert result.summary["status"] == "finished" and losses.iloc[-1] < 0.95 * losses.iloc[0]
    again = fit(config, tmp_path, progress=False)
    for name, tensor in result.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])


def test_a_model_that_does_not_fit_the_data_is_refused():
    with pytest.raises(ValueError, match="model 'resnet18' is not made for dataset 'adding_problem'; allowed: rnn"):
        fit(TrainConfig(model="resnet18", dataset="adding_problem"))
