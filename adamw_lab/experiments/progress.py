"""What people see of a batch while it runs."""

from typing import Self

from tqdm import tqdm

from adamw_lab.experiments.batch import Outcome


class Progress:
    """A bar with the time left where there is a terminal, and a line for each point that ends, everywhere."""

    def __init__(self, total: int, jobs: int):
        self.total, self.jobs, self.ended, self.skipped = total, jobs, 0, 0
        self.took: list[float] = []

    def __enter__(self) -> Self:
        self.bar = tqdm(total=self.total, unit="run", smoothing=0, disable=None, leave=False)
        return self

    def __exit__(self, *error: object) -> None:
        self.bar.close()

    def report(self, outcome: Outcome) -> None:
        self.ended += 1
        if outcome.status == "skipped":
            self.skipped += 1
            self.bar.initial = self.skipped  # so that the bar's rate counts what ran
        elif outcome.status == "failed":
            self.bar.write(f"{self.place()} {outcome.point.label} FAILED: {outcome.error}")
        else:
            self.took.append(outcome.seconds)
            self.bar.write(f"{self.place()} {outcome.point.label} done in {outcome.seconds:.0f} s{self.left()}")
        self.bar.update()

    def place(self) -> str:
        return f"[{self.ended}/{self.total}]"

    def left(self) -> str:
        """The time left, if those to come take as long as those that are done."""
        if self.ended == self.total:
            return ""
        seconds = sum(self.took) / len(self.took) * (self.total - self.ended) / self.jobs
        return f"; about {tqdm.format_interval(seconds)} left"

    def tick(self) -> None:
        self.bar.refresh()
