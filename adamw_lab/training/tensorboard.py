"""A run's events for TensorBoard, from the tables that it left."""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd


def check_export(run_dir: str | Path | None) -> None:
    """Refuse what `export_tensorboard` will not be able to do.

    Raises:
        ValueError: tensorboard is not installed, or the run is not kept.
    """
    if find_spec("tensorboard") is None:
        raise ValueError("tensorboard is not installed: pip install 'adamw-lab[tensorboard]'")
    if run_dir is None:
        raise ValueError("TensorBoard's events are made from a run that is kept; give a run_dir")


def export_tensorboard(run_dir: str | Path, log_dir: str | Path) -> Path:
    """Write the steps, layers and epochs of a finished run as TensorBoard scalars; returns `log_dir`.

    Tags are `step/<column>`, `layer/<column>/<layer>` and `epoch/<column>`; all are over steps.

    Raises:
        FileNotFoundError: no finished run is there.
        ValueError: the extra `tensorboard` is not installed.
    """
    check_export(run_dir)
    run_dir = Path(run_dir)
    tables = {name: run_dir / f"{table}.parquet" for name, table in (
        ("epoch", "history"), ("step", "telemetry"), ("layer", "layers"))}
    for path in tables.values():
        if not path.is_file():
            raise FileNotFoundError(f"no finished run in '{run_dir}': {path.name} is missing")
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(log_dir)) as writer:
        for kind, path in tables.items():
            table = pd.read_parquet(path)
            keys = ["step", "layer"] if kind == "layer" else ["step"]
            tall = table.select_dtypes("number").join(table[keys[1:]]).melt(keys, var_name="column").dropna()
            for row in tall.itertuples():
                tag = f"{kind}/{row.column}" + (f"/{row.layer}" if kind == "layer" else "")
                writer.add_scalar(tag, row.value, row.step)
    return Path(log_dir)
