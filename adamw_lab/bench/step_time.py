"""How long one step of each optimizer takes, beside torch's fused AdamW and a copy of memory."""

import multiprocessing
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from adamw_lab.bench.contenders import ADAM, CONTENDERS, PRUNE, Running, find_contender, known_contenders, prune_every
from adamw_lab.bench.transients import transient_bytes
from adamw_lab.models import build_model
from adamw_lab.provenance import hardware, installed
from adamw_lab.suggest import did_you_mean

Shapes = Sequence[Sequence[int]]
WARM = 3
"""Processes in which a first step with compiled code on disk is timed; the median of them counts."""


def resnet_shapes(name: str, classes: int) -> list[tuple[int, ...]]:
    """Shapes of the parameters of a ResNet for 32 pixels."""
    with torch.device("meta"):
        model = build_model(name, channels=3, classes=classes, image_size=32)
    return [tuple(p.shape) for p in model.parameters()]


def gpt2_shapes(width: int = 768, blocks: int = 12, vocabulary: int = 50_257, context: int = 1024) -> list[tuple]:
    """Shapes of the parameters of GPT-2; the smallest, of 124 M parameters, by default. Input and output share one."""
    norm = [(width,), (width,)]
    block = [*norm, (3 * width, width), (3 * width,), (width, width), (width,),
             *norm, (4 * width, width), (4 * width,), (width, 4 * width), (width,)]
    return [(vocabulary, width), (context, width), *block * blocks, *norm]


MODELS: dict[str, Callable[[], Shapes]] = {
    "resnet18": lambda: resnet_shapes("resnet18", classes=10),
    "resnet50": lambda: resnet_shapes("resnet50", classes=100),
    "gpt2": gpt2_shapes,
}
"""name -> shapes of its parameters."""


def bench_step_time(models: Mapping[str, Shapes] | None = None, contenders: Sequence[str] | None = None, *,
                    repeats: int = 15, windows: int = 2, every: int = 50,
                    first_steps: Sequence[str] = ("resnet50",), device: str = "cpu") -> pd.DataFrame:
    """Time steps on parameters of the given shapes; weights with four dimensions lie channels_last.

    Each contender's step is timed in turn with a copy and with a step of torch's fused AdamW, on the same parameters.

    Args:
        models: name -> shapes (default: those of `MODELS`).
        contenders: keys of `CONTENDERS`, "adamwprune", or names that `optim.register` added (default: all).
        repeats: timed steps of each, in three passes over all contenders, each after two that are not (default 15).
        windows: for AdamWPrune, timed stretches of `every` steps with a mask update in each, after one that is not.
        every: steps between the mask updates of AdamWPrune (default 50).
        first_steps: models on which the first step of a fresh process is timed.
        device: "cpu" (default) or "cuda".

    Returns:
        A row for each model and contender: `model`, `parameters`, `contender`, `label`; `seconds`, the median;
        `fused_seconds` and `copy_seconds` of the same turns; `ratio`, the median over turns of step / fused step;
        `gigabytes_per_second` of the traffic that the rule must cause, and the copy's (`copy_gigabytes_per_second`);
        `state_bytes_per_parameter`; `transient_bytes`, by which a step raises the memory in use;
        `first_step_seconds_cold` (compiled code is not there yet) and `first_step_seconds_warm`; `steps` timed;
        `device`, `threads`, `hardware`, `torch`, `numba`; `note`, which says so where a contender is not installed.

    Raises:
        ValueError: an unknown contender.
    """
    models = {name: shapes() for name, shapes in MODELS.items()} if models is None else models
    known = known_contenders()
    wanted = known if contenders is None else list(contenders)
    for name in wanted:
        if name not in known:
            raise ValueError(f"unknown contender {name!r}; allowed: {', '.join(known)}.{did_you_mean(name, known)}")
    rows = []
    for model, shapes in models.items():
        params = make_parameters(shapes, device)
        found: list[dict[str, Any]] = []
        timed = _rows([name for name in wanted if name != "adamwprune"], params, repeats, device)
        for name in wanted:
            rows_here = [timed[name]] if name in timed else _prune_rows(params, windows, every, device)
            for row in rows_here:
                if model in first_steps and _compiles(row["contender"]):
                    row |= first_step_seconds(row["contender"], shapes, device)
            found += rows_here
        count = sum(p.numel() for p in params)
        rows += [{"model": model, "parameters": count, **row} for row in found]
    data = pd.DataFrame(rows).reindex(columns=COLUMNS)
    return data.assign(device=device, threads=torch.get_num_threads(), hardware=hardware(), torch=installed("torch"),
                       numba=installed("numba"))


PASSES = 3
"""How often the bench comes round to each contender: a machine has good and bad moments that outlast its turns."""

COLUMNS = ["model", "parameters", "contender", "label", "seconds", "fused_seconds", "copy_seconds", "ratio",
           "gigabytes_per_second", "copy_gigabytes_per_second", "state_bytes_per_parameter", "transient_bytes",
           "first_step_seconds_cold", "first_step_seconds_warm", "steps", "device", "threads", "hardware", "torch",
           "numba", "note"]


def record_step_time(path: str | Path, **options: Any) -> pd.DataFrame:
    """Run `bench_step_time(**options)` and keep its table as CSV at `path`."""
    data = bench_step_time(**options)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    data.to_csv(path, index=False)
    return data


def make_parameters(shapes: Shapes, device: str = "cpu") -> list[nn.Parameter]:
    """Random parameters with random gradients."""
    generator = torch.Generator(device).manual_seed(0)
    params = []
    for shape in shapes:
        p = torch.empty(shape, device=device).normal_(std=0.02, generator=generator)
        p = nn.Parameter(p.to(memory_format=torch.channels_last) if p.ndim == 4 else p)
        p.grad = torch.empty_like(p).normal_(std=1e-3, generator=generator)
        params.append(p)
    return params


def _rows(names: Sequence[str], params: list[Tensor], repeats: int, device: str) -> dict[str, dict[str, Any]]:
    """A row for each contender. Its turns are spread over `PASSES` over all contenders."""
    contenders = {name: find_contender(name) for name in names}
    rows: dict[str, dict[str, Any]] = {name: {"contender": name, "label": contender.label, "note": contender.missing}
                                       for name, contender in contenders.items()}
    seconds: dict[str, dict[str, list[float]]] = {name: {} for name, contender in contenders.items()
                                                  if not contender.missing}
    passes = min(PASSES, repeats)
    for i in range(passes):
        for name, so_far in seconds.items():
            running = contenders[name].make(params)
            for _ in range(contenders[name].ahead):
                running.step()
            turns = Turns(params, running.step, device)
            turns.take(2)
            turns.forget()
            turns.take(repeats // passes + (i < repeats % passes))
            seconds[name] = turns.seconds = {kind: so_far.get(kind, []) + new for kind, new in turns.seconds.items()}
            if i == passes - 1:
                times = turns.summary(turns.seconds["step"], turns.seconds["fused"], contenders[name].traffic)
                rows[name] |= times | _memory(running, params, device)
    return rows


def _prune_rows(params: list[Tensor], windows: int, every: int, device: str) -> list[dict[str, Any]]:
    """Steady, update, amortized. Each window begins with the update."""
    running = prune_every(params, every, end_step=windows * every + 1)
    turns = Turns(params, running.step, device)
    turns.take(every)
    turns.forget()
    turns.take(windows * every)
    every_so_many = range(0, windows * every, every)
    pairs = {name: (turns.seconds["step"][part], turns.seconds["fused"][part]) for name, part in (
        ("adamwprune_update", slice(0, None, every)), ("all", slice(None)))}
    steady = [pair for i, pair in enumerate(zip(*pairs["all"], strict=True)) if i % every]
    pairs["adamwprune_steady"] = tuple(zip(*steady, strict=True))
    pairs["adamwprune_amortized"] = tuple([sum(column[i : i + every]) / every for i in every_so_many]
                                          for column in pairs.pop("all"))
    after = _memory(running, params, device)
    update = _memory(prune_every(params, 1, end_step=3), params, device, before=2)
    memory = {"adamwprune_steady": after, "adamwprune_update": update, "adamwprune_amortized": update}
    return [{"contender": name, "label": PRUNE[name].format(every=every), "note": "",
             **turns.summary(*pairs[name], ADAM), **memory[name]} for name in PRUNE]


def _memory(running: Running, params: list[Tensor], device: str, before: int = 0) -> dict[str, Any]:
    """What one more step takes for a moment, after `before` others, and what is kept."""
    for _ in range(before):
        running.step()
    count = sum(p.numel() for p in params)
    transients = transient_bytes(running.step, device=device)
    return {"state_bytes_per_parameter": running.state_bytes() / count, "transient_bytes": transients}


class Turns:
    """A copy of the parameters, a step of torch's fused AdamW and a step of a contender, in turn, each timed."""

    def __init__(self, params: list[Tensor], step: Callable[[], Any], device: str) -> None:
        fused = CONTENDERS["torch_fused"].make(params)
        copies = [torch.empty_like(p) for p in params]
        self.elements = sum(p.numel() for p in params)
        self.bytes_copied = 2 * sum(p.nbytes for p in params)
        self.device = device
        self.calls = {"copy": lambda: _copy(copies, params), "fused": fused.step, "step": step}
        self.forget()

    def forget(self) -> None:
        self.seconds: dict[str, list[float]] = {name: [] for name in self.calls}

    def take(self, count: int) -> None:
        for _ in range(count):
            for name, call in self.calls.items():
                start = self._now()
                call()
                self.seconds[name].append(self._now() - start)

    def summary(self, steps: Sequence[float], fused: Sequence[float], traffic: int) -> dict[str, float]:
        """Medians, and what follows from them, of the seconds of steps and of the fused steps of the same turns.

        `traffic` are the bytes a parameter that a step moves. The ratio is the median of the turns' ratios: a machine
        that slows down slows both.
        """
        step, copy = median(steps), median(self.seconds["copy"])
        return {"seconds": step, "fused_seconds": median(fused), "copy_seconds": copy,
                "ratio": median(s / f for s, f in zip(steps, fused, strict=True)),
                "gigabytes_per_second": traffic * self.elements / step / 1e9,
                "copy_gigabytes_per_second": self.bytes_copied / copy / 1e9, "steps": len(steps)}

    def _now(self) -> float:
        if self.device != "cpu":
            torch.cuda.synchronize()
        return perf_counter()


@torch.no_grad()
def _copy(copies: list[Tensor], params: list[Tensor]) -> None:
    torch._foreach_copy_(copies, params)


def _compiles(name: str) -> bool:
    return name in ("adamwprune_steady", "adamwprune_update") or name in CONTENDERS and CONTENDERS[name].lab


def first_step_seconds(name: str, shapes: Shapes, device: str = "cpu") -> dict[str, float]:
    """The first step in a fresh process: without compiled code on disk, then with it, the median of `WARM` processes.

    Imports of compilers and the making of the state are in it, the import of torch is not.
    """
    with tempfile.TemporaryDirectory() as folder:
        times = []
        for _ in range(1 + WARM):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                times.append(pool.apply(_first_step, (name, shapes, device, folder)))
    return {"first_step_seconds_cold": times[0], "first_step_seconds_warm": median(times[1:])}


def _first_step(name: str, shapes: Shapes, device: str, cache: str) -> float:
    os.environ["NUMBA_CACHE_DIR"] = os.environ["TRITON_CACHE_DIR"] = cache  # both read it when imported
    params = make_parameters(shapes, device)
    begins = {"adamwprune_steady": 10, "adamwprune_update": 0}
    running = (prune_every(params, 1, end_step=20, begin_step=begins[name]) if name in begins else
               CONTENDERS[name].make(params))
    start = perf_counter()
    running.step()
    if device != "cpu":
        torch.cuda.synchronize()
    return perf_counter() - start
