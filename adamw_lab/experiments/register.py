"""The register of studies as a table: what is asked, what it takes, and how much of it is recorded."""

from pathlib import Path

import pandas as pd

from adamw_lab.experiments.catalogue import STUDIES
from adamw_lab.experiments.catalogue_optimizers import ALL
from adamw_lab.provenance import RECORDS


def register(profile: str = "cpu", data: str | Path = RECORDS) -> pd.DataFrame:
    """A row a study that has the profile: question, compared, given up, runs, seconds a run, minutes, recorded runs.

    `runs` of a tuned study is that of one run a tuned optimizer and seed; `minutes` are of one core.
    """
    rows = []
    for name, study in STUDIES.items():
        if profile not in study.profiles:
            continue
        chosen = study.profiles[profile]
        path = Path(data) / f"{name}-{profile}.csv"
        recorded = len(pd.read_csv(path)) if path.is_file() else 0
        try:
            runs = len(study.points(profile))
        except ValueError:  # the study that decides its arms is not recorded
            runs = len(ALL) * len(chosen.seeds)
        minutes = None if chosen.seconds is None else runs * chosen.seconds / 60
        rows.append((name, study.question, study.compared, study.given_up, len(chosen.seeds), runs, chosen.seconds,
                     minutes, recorded))
    columns = ["study", "question", "compared", "given up", "seeds", "runs", "seconds a run", "minutes", "recorded"]
    return pd.DataFrame(rows, columns=columns).set_index("study")
