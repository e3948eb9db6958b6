"""What benches decide: the time of a step, the start of a notebook, the bytes that pruning keeps."""

from collections.abc import Sequence

import pandas as pd

from adamw_lab.analysis.claims import REFUTED, SUPPORTED, Find, Finding
from adamw_lab.analysis.recorded import Records
from adamw_lab.analysis.stats import Effect, verdict

RESNETS = ("resnet18", "resnet50")
MODELS = (*RESNETS, "gpt2")


def spam_overhead(records: Records) -> Finding:
    """By how much a step of AdamWSPAM takes longer than the same kernel with its terms off."""
    times = _times(records)
    return _least(times["adamwspam"] / times["terms_off"] - 1, times)


ON_CPU, ON_GPU = "step_time.csv", "step_time-gpu.csv"


def beats_fused(contender: str, rival: str, models: Sequence[str] = MODELS) -> Find:
    """The share of the time of a step of torch that ours saves, on each of these models."""
    def find(records: Records) -> Finding:
        times = _times(records).loc[list(models)]
        return _least(1 - times[contender] / times[rival], times)
    return find


def fused_ahead(records: Records) -> Finding:
    """By how much more time than torch's fused step ours takes for the same rule on a GPU, on each model."""
    times = _times(records, ON_GPU)
    return _least(times["terms_off"] - 1, times, ON_GPU)


def _times(records: Records, table: str = ON_CPU) -> pd.DataFrame:
    """A row a model and a column a contender: the time of a step relative to that of torch's fused AdamW."""
    return pd.read_csv(records.folder / table).pivot(index="model", columns="contender", values="ratio")


def _least(shares: pd.Series, times: pd.DataFrame, table: str = ON_CPU) -> Finding:
    """On the model where a share is least; it must exceed by how much torch's fused step differs from itself."""
    noise, least = float((1 - times["torch_fused"]).abs().max()), float(shares.min())
    effect = Effect(least, least, least, 1)
    each = ", ".join(f"{model} {value:+.0%}" for model, value in shares.items())
    return Finding(verdict(effect, noise), f"figures/data/{table}: {each}", effect, noise, shares.idxmin())


def starts_sooner(records: Records) -> Finding:
    seconds = pd.read_csv(records.folder / "batch.csv").groupby("name")["seconds_each"].median()
    times = float(seconds["papermill"] / seconds["batch_one"])
    return Finding(SUPPORTED if times >= 10 else REFUTED, "figures/data/batch.csv", Effect(times, times, times, 1))


def bytes_a_weight(records: Records, method: str) -> float:
    return float(pd.read_csv(records.folder / "memory.csv").set_index("method")["pruning_bytes_per_weight"][method])


def no_bytes(records: Records) -> Finding:
    found = bytes_a_weight(records, "adamwprune")
    return Finding(SUPPORTED if found == 0 else REFUTED, f"figures/data/memory.csv: {found:g} bytes")


def traditional_bytes(records: Records) -> Finding:
    names = ("magnitude_pruner", "movement_pruner", "torch_prune")
    kept = {name: bytes_a_weight(records, name) for name in names}
    least = min(kept.values())
    each = ", ".join(f"{name} {value:g}" for name, value in kept.items())
    return Finding(SUPPORTED if least > 0 else REFUTED, f"figures/data/memory.csv: {each}; magnitude tracks nothing, "
                   "its byte is the mask", Effect(least, least, least, 1))
