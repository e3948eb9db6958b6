"""`adamw-lab bench`: speed and memory, measured here."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd


def measure(wanted: list[str], out: Path) -> list[Path]:
    """Run benchmarks by name, print their tables, and keep each as `out`/<name>.csv; all are checked before any runs.

    Raises:
        ValueError: an unknown benchmark.
    """
    from adamw_lab.suggest import did_you_mean

    for name in wanted:
        if name not in BENCHMARKS:
            raise ValueError(f"unknown benchmark {name!r}; allowed: {', '.join(BENCHMARKS)}."
                             f"{did_you_mean(name, BENCHMARKS)}")
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in wanted or BENCHMARKS:
        data, shown = BENCHMARKS[name]()
        print(f"{name}\n{data[shown].to_string(index=False, float_format='{:.4g}'.format)}\n", flush=True)
        written.append(out / f"{name}.csv")
        data.to_csv(written[-1], index=False, float_format="%.7g", lineterminator="\n")
    return written


def _step_time() -> tuple[pd.DataFrame, list[str]]:
    from adamw_lab.bench.step_time import bench_step_time
    from adamw_lab.training.hardware import resolve_device

    device = "cuda" if resolve_device("auto") == "cuda" else "cpu"  # torch has a fused AdamW to compare with on both
    return bench_step_time(repeats=21, device=device), ["model", "label", "seconds", "ratio", "gigabytes_per_second",
                                         "copy_gigabytes_per_second", "transient_bytes", "first_step_seconds_warm"]


def _memory() -> tuple[pd.DataFrame, list[str]]:
    from adamw_lab.bench.memory import bench_memory

    return bench_memory(), ["method", "persistent", "peak", "transients", "pruning_bytes_per_weight", "sparsity"]


def _selection() -> tuple[pd.DataFrame, list[str]]:
    from adamw_lab.bench.selection import bench_selection

    data = pd.DataFrame(bench_selection())
    return data, ["elements", "kth_smallest_seconds", "kthvalue_seconds", "ratio", "ratio_alone",
                  "kth_smallest_bytes", "largest_tensor_bytes"]


def _training() -> tuple[pd.DataFrame, list[str]]:
    from adamw_lab.bench.training import bench_training

    return bench_training(), ["model", "way", "precision", "images_per_second", "ratio", "overhead"]


def _batch() -> tuple[pd.DataFrame, list[str]]:
    from adamw_lab.bench.batch import bench_batch

    return bench_batch(), ["name", "count", "done", "seconds", "seconds_each", "ratio"]


BENCHMARKS: dict[str, Callable[[], tuple[pd.DataFrame, list[str]]]] = {
    "step_time": _step_time,
    "memory": _memory,
    "selection": _selection,
    "training": _training,
    "batch": _batch,
}
"""name -> what measures it: the table, and the columns worth printing."""
