"""Sequences without a download: the adding problem, and the text of Python's own manual."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from adamw_lab.data.batches import _mixed

HELD_OUT = 2_000
"""Sequences of the adding problem for validation, and as many for the test."""


@dataclass(frozen=True)
class Sequences:
    """Inputs float32 [N, T, 2] with their targets [N, 1]."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class AddingProblem:
    """The adding problem (Hochreiter and Schmidhuber, 1997): of `length` numbers in [0, 1), two are marked; add them.

    The first mark lies in the first half, the second in the second. Who always answers 1 has a mean squared error of
    1/6.
    """

    train: Sequences
    validation: Sequences
    test: Sequences
    length: int
    name: str = "adding_problem"
    task: str = "regression"

    def model_arguments(self) -> dict[str, int]:
        return {"features": 2, "outputs": 1}


@dataclass(frozen=True)
class Text:
    """Characters as tokens, int64 [N]; `len` is their number."""

    tokens: Tensor

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class TextData:
    """A text in three stretches, 90, 5 and 5 %: the next character is to be told from up to `context` before it.

    `vocabulary` holds the characters in the order of their tokens, `digest` is the text's SHA-256.
    """

    train: Text
    validation: Text
    test: Text
    vocabulary: str
    context: int
    digest: str
    name: str = "pydoc_text"
    task: str = "language"

    def model_arguments(self) -> dict[str, int]:
        return {"vocabulary": len(self.vocabulary), "context": self.context}


def adding_problem(train_size: int | None, split_seed: int, length: int = 100) -> AddingProblem:
    """Draw the sequences; `train_size` None: 10,000. A smaller training set is not part of a larger one.

    Raises:
        ValueError: length below 2.
    """
    if length < 2:
        raise ValueError(f"Invalid length value: {length!r}; allowed: a whole number of at least 2")
    generator = torch.Generator().manual_seed(_mixed(split_seed, length))
    validation, test, train = (
        _additions(n, length, generator) for n in (HELD_OUT, HELD_OUT, 10_000 if train_size is None else train_size))
    return AddingProblem(train, validation, test, length)


def pydoc_text(train_size: int | None, split_seed: int, context: int = 128) -> TextData:
    """The topics of Python's manual, as the running Python has them; `train_size`: so many characters at the start.

    `split_seed` decides nothing here: the stretches are the same for all.

    Raises:
        ValueError: more characters asked for than there are, or fewer than a window takes.
    """
    from pydoc_data.topics import topics

    text = "\n".join(f"{name}\n{topics[name]}" for name in sorted(topics))
    vocabulary = "".join(sorted(set(text)))
    place = {character: i for i, character in enumerate(vocabulary)}
    tokens = torch.tensor([place[character] for character in text])
    held = len(tokens) // 20
    train, validation, test = tokens.split([len(tokens) - 2 * held, held, held])
    for what, wanted in (("train_size", train_size), ("context", context)):
        low, high = (context + 1, len(train)) if what == "train_size" else (1, held - 1)
        if wanted is not None and not low <= wanted <= high:
            raise ValueError(f"Invalid {what} value: {wanted!r}; allowed: from {low} to {high} characters of "
                             "'pydoc_text'")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return TextData(Text(train[:train_size]), Text(validation), Text(test), vocabulary, context, digest)


def _additions(n: int, length: int, generator: torch.Generator) -> Sequences:
    numbers = torch.rand(n, length, generator=generator)
    half = length // 2
    first = torch.randint(0, half, (n, 1), generator=generator)
    second = torch.randint(half, length, (n, 1), generator=generator)
    marks = torch.zeros(n, length).scatter_(1, first, 1.0).scatter_(1, second, 1.0)
    return Sequences(torch.stack([numbers, marks], dim=2), (numbers * marks).sum(1, keepdim=True))


class SequenceBatches:
    """Batches of sequences that lie whole on the device; `epoch(k)` is a pure function of (seed, k)."""

    def __init__(self, split: Sequences, batch_size: int, *, device: torch.device | str, seed: int,
                 shuffle: bool) -> None:
        self.inputs, self.targets = split.inputs.to(device), split.targets.to(device)
        self.batch_size, self.seed, self.shuffle = batch_size, seed, shuffle

    def __len__(self) -> int:
        return -(-len(self.targets) // self.batch_size)

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches (inputs, targets) of epoch `number`, from batch `start` on."""
        n = len(self.targets)
        generator = torch.Generator().manual_seed(_mixed(self.seed, number))
        order = torch.randperm(n, generator=generator) if self.shuffle else torch.arange(n)
        for part in order.to(self.targets.device).split(self.batch_size)[start:]:
            yield self.inputs[part], self.targets[part]


class TextBatches:
    """Windows of a text: for training at random places, an epoch being as many as cover it once, else in a row.

    Args:
        split: the text; copied to the device once.
        batch_size: windows a batch.
        context: characters a window; the targets are the same window one character on.
        device: where the batches are made.
        seed: with the epoch's number it decides the places.
        shuffle: random places.
    """

    def __init__(self, split: Text, batch_size: int, *, context: int, device: torch.device | str, seed: int,
                 shuffle: bool) -> None:
        self.tokens = split.tokens.to(device)
        self.batch_size, self.context, self.seed, self.shuffle = batch_size, context, seed, shuffle

    def __len__(self) -> int:
        windows = (len(self.tokens) - 1) // self.context
        return max(1, windows // self.batch_size if self.shuffle else -(-windows // self.batch_size))

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches (windows, windows one on), each [batch, context], of epoch `number`, from batch `start` on."""
        last = len(self.tokens) - self.context
        if self.shuffle:
            generator = torch.Generator().manual_seed(_mixed(self.seed, number))
            places = torch.randint(0, last, (len(self) * self.batch_size,), generator=generator)
        else:
            places = torch.arange(0, last, self.context)
        span = torch.arange(self.context + 1, device=self.tokens.device)
        for part in places.to(self.tokens.device).split(self.batch_size)[start:]:
            windows = self.tokens[part[:, None] + span]
            yield windows[:, :-1], windows[:, 1:]
