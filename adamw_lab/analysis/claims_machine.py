"""What benches decide: the time of a step, the start of a notebook, the bytes that pruning keeps."""

import pandas as pd

from adamw_lab.analysis.claims import Find, Finding
from adamw_lab.analysis.recorded import Records
from adamw_lab.analysis.stats import VERDICTS, Effect, verdict


def spam_overhead(records: Records) -> Finding:
    times = pd.read_csv(records.folder / "step_time.csv")
    table = times.pivot(index="model", columns="contender", values="ratio")
    overhead = table["adamwspam"] / table["terms_off"] - 1
    least = float(overhead.min())
    each = ", ".join(f"{model} {value:+.0%}" for model, value in overhead.items())
    return Finding(VERDICTS[0] if least > 0 else VERDICTS[1], f"figures/data/step_time.csv: {each}",
                   Effect(least, least, least, 1))


def beats_fused(contender: str, rival: str) -> Find:
    """The share of the time of a step of torch that ours saves, on the model where that is least.

    The noise floor is by how much torch's fused step differs from itself, at the most.
    """
    def find(records: Records) -> Finding:
        times = pd.read_csv(records.folder / "step_time.csv").pivot(index="model", columns="contender", values="ratio")
        saved, noise = 1 - times[contender] / times[rival], float((1 - times["torch_fused"]).abs().max())
        least = float(saved.min())
        effect = Effect(least, least, least, 1)
        each = ", ".join(f"{model} {value:+.0%}" for model, value in saved.items())
        return Finding(verdict(effect, noise), f"figures/data/step_time.csv: {each}", effect, noise, saved.idxmin())
    return find


def starts_sooner(records: Records) -> Finding:
    seconds = pd.read_csv(records.folder / "batch.csv").groupby("name")["seconds_each"].median()
    times = float(seconds["papermill"] / seconds["batch_one"])
    said = VERDICTS[0] if times >= 10 else VERDICTS[1]
    return Finding(said, "figures/data/batch.csv", Effect(times, times, times, 1))


def bytes_a_weight(records: Records, method: str) -> float:
    return float(pd.read_csv(records.folder / "memory.csv").set_index("method")["pruning_bytes_per_weight"][method])


def no_bytes(records: Records) -> Finding:
    found = bytes_a_weight(records, "adamwprune")
    said = VERDICTS[0] if found == 0 else VERDICTS[1]
    return Finding(said, "figures/data/memory.csv", Effect(-found, -found, -found, 1))


def traditional_bytes(records: Records) -> Finding:
    least = min(bytes_a_weight(records, name) for name in ("magnitude_pruner", "movement_pruner", "torch_prune"))
    return Finding(VERDICTS[0] if least > 0 else VERDICTS[1], "figures/data/memory.csv", Effect(least, least, least, 1))
