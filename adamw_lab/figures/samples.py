"""What a data set holds and where a network errs on it, whatever the data are: images, text or sequences of numbers."""

from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn

from adamw_lab.data import make_batches
from adamw_lab.figures.images import fig_images
from adamw_lab.figures.style import COLOURS
from adamw_lab.training.tasks import TASKS, TOLERANCE

LINES = 60
"""Characters a line of text."""


def guess_rate(data: Any) -> tuple[float, str]:
    """How often the best constant answer is right on validation, in [0, 1], and what that answer is, in words."""
    if data.task == "regression":
        close = (data.validation.targets - 1).abs() < TOLERANCE
        return close.float().mean().item(), "always answering 1"
    labels = data.validation.tokens if data.task == "language" else data.validation.labels
    what = "character" if data.task == "language" else "class"
    return labels.bincount().max().item() / len(labels), f"always guessing the most frequent {what}"


def fig_samples(ax: Axes, data: Any, count: int = 20) -> None:
    """The first validation samples: images with their classes, a stretch of text, or marked numbers with their sum."""
    inputs, targets = next(make_batches(data, "validation", count, device="cpu").epoch(0))
    if data.task == "classification":
        ax.set_title(f"First images of the validation part of {data.name}")
        fig_images(ax, inputs, [data.classes[label] for label in targets])
    elif data.task == "language":
        ax.set_title(f"Beginning of the validation part of {data.name}")
        _text(ax, "".join(data.vocabulary[token] for token in data.validation.tokens[: 5 * LINES]))
    else:
        numbers, marks = inputs[0].unbind(1)
        ax.bar(range(len(numbers)), numbers.tolist(), color=[COLOURS["adamw"] if mark else "#D0D0D0" for mark in marks])
        ax.set(xlabel="step", ylabel="number", title=f"The two marked numbers add up to {targets[0].item():.2f}")


@torch.no_grad()
def fig_mistakes(ax: Axes, model: nn.Module, data: Any, device: str, count: int = 20) -> None:
    """Where a trained network errs on validation: images that it misreads, characters it misses, sums beside answers.

    The title says how much it gets wrong in all.
    """
    right = TASKS[data.task].right
    wrong = total = 0
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    for inputs, targets in make_batches(data, "validation", 256, device=device).epoch(0):
        outputs = model(inputs)
        total += targets.numel()
        wrong += targets.numel() - int(right(outputs, targets))
        kept.append((inputs.cpu(), targets.cpu(), outputs.float().cpu()))
    if data.task == "classification":
        _misread(ax, data, kept, count)
        ax.set_title(f"{wrong} of {total} validation images are read wrongly")
    elif data.task == "language":
        _missed(ax, data, kept[0])
        ax.set_title(f"{wrong} of {total} characters are told wrongly; here a dot stands for those")
    else:
        truths, answers = (torch.cat([batch[k] for batch in kept]).flatten().numpy() for k in (1, 2))
        ax.plot(truths, answers, ".", color=COLOURS["adamw"], markersize=2)
        ax.axline((1, 1), slope=1, color="#606060", linewidth=0.8)
        ax.set(xlabel="sum", ylabel="answer", title=f"{wrong} of {total} answers are off by {TOLERANCE} or more")


def _misread(ax: Axes, data: Any, kept: list[tuple[Tensor, Tensor, Tensor]], count: int) -> None:
    images, truths, logits = (torch.cat([batch[k] for batch in kept]) for k in range(3))
    guesses = logits.argmax(1)
    mistakes = (guesses != truths).nonzero().flatten()[:count]
    if len(mistakes):
        names = data.classes
        fig_images(ax, images[mistakes], [f"{names[truths[i]]} → {names[guesses[i]]}" for i in mistakes])


def _missed(ax: Axes, data: Any, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    _, truths, logits = batch
    hits, truths = (logits.argmax(-1) == truths).flatten()[: 5 * LINES], truths.flatten()[: 5 * LINES]
    _text(ax, "".join(data.vocabulary[token] if hit else "·" for token, hit in zip(truths, hits, strict=True)))


def _text(ax: Axes, text: str) -> None:
    lines = [text[start : start + LINES].replace("\n", "¶") for start in range(0, len(text), LINES)]
    ax.text(0, 1, "\n".join(lines), family="DejaVu Sans Mono", fontsize=6.5, va="top", transform=ax.transAxes,
            parse_math=False)
    ax.set_axis_off()
