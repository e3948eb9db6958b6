"""What a study is: a question, what is compared, its size in each profile, and what it costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

Arms = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Profile:
    """The size of a study: settings common to all points, and the seeds, the same for all that is compared.

    `seconds` is what a run was measured to take on one core before the study ran; None where it was not.
    """

    base: Mapping[str, Any]
    seeds: tuple[int, ...]
    seconds: float | None = None


@dataclass(frozen=True)
class Study:
    """Arms × seeds. An arm is what sets its points apart from those of the other arms.

    Attributes:
        question: what is asked.
        notebook: each point is an execution of it; None: each point is a call of `fit` in a warm process, for studies
            of many runs that are shorter than a notebook takes to start.
        arms: label -> settings; a function of the profile where recorded runs of another study decide them.
        profiles: its sizes.
        note: said beneath the table.
        figure: its drawing function in `adamw_lab.figures`: (runs, history) -> Figure.
        compared: what is compared with what, by which measure, as declared before it ran.
        given_up: what a full study would have and this one has not.
        more: further arms that follow from the runs so far, such as levels beyond an optimum on the edge of its grid;
            None: none.
    """

    question: str
    notebook: str | None
    arms: Arms | Callable[[str], Arms]
    profiles: Mapping[str, Profile]
    note: str = ""
    figure: str = "study_figure"
    compared: str = ""
    given_up: str = ""
    more: Callable[[pd.DataFrame], Arms] | None = None

    def points(self, profile: str, more: Arms | None = None) -> dict[str, dict[str, Any]]:
        """Label -> parameters, in the order in which they run: a seed for all arms before the next seed."""
        chosen = self.profiles[profile]
        arms = self.arms(profile) if callable(self.arms) else self.arms
        return {
            f"{arm}_seed{seed}": {**chosen.base, **settings, "seed": seed}
            for seed in chosen.seeds
            for arm, settings in {**arms, **(more or {})}.items()
        }

    def arithmetic(self, profile: str) -> str:
        """How many runs, and what they were reckoned to take: "cpu (45 runs of 5 s)"."""
        chosen = self.profiles[profile]
        try:
            runs = f"{len(self.points(profile))} runs"
        except ValueError:  # another study has to be recorded first
            runs = f"{len(chosen.seeds)} runs of each optimizer's best trial"
        return f"{profile} ({runs})" if chosen.seconds is None else f"{profile} ({runs} of {chosen.seconds:g} s)"
