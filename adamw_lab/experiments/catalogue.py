"""The named studies. A study is data: a notebook, what is compared, and the settings of each profile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adamw_lab.suggest import did_you_mean


@dataclass(frozen=True)
class Profile:
    """The size of a study: settings common to all points, and the seeds, the same for all that is compared."""

    base: Mapping[str, Any]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Study:
    """One notebook over arms × seeds. An arm is what sets its points apart from those of the other arms."""

    question: str
    notebook: str
    arms: Mapping[str, Mapping[str, Any]]
    profiles: Mapping[str, Profile]
    note: str = ""
    figure: str = "study_figure"
    """Its drawing function in `adamw_lab.figures`: (runs, history) -> Figure."""

    def points(self, profile: str) -> dict[str, dict[str, Any]]:
        """Label -> parameters, in the order in which they run: a seed for all arms before the next seed."""
        chosen = self.profiles[profile]
        return {
            f"{arm}_seed{seed}": {**chosen.base, **settings, "seed": seed}
            for seed in chosen.seeds
            for arm, settings in self.arms.items()
        }


OPTIMIZERS = Study(
    question="How do the optimizers of the family train ResNet-18, each as it comes out of the box?",
    notebook="08_resnet_experiment.ipynb",
    arms={
        **{name: {"optimizer": name} for name in ("sgd", "adam", "adamw", "adamwadv", "adamwspam")},
        "adamwprune": {
            "optimizer": "adamwprune",
            # A run of 140 steps leaves no room for the default of 50 steps between updates.
            "optimizer_options": {"target_sparsity": 0.7, "update_every": 5},
        },
    },
    profiles={
        # One thread a run: as many runs side by side as there are cores, the same numbers however many.
        "quick": Profile(
            base={"model": "resnet18", "dataset": "digits", "epochs": 7, "batch_size": 64,
                  "precision": "float32", "threads": 1},
            seeds=(0, 1),
        ),
    },
    note="Two seeds show that everything works; they do not rank optimizers.",
)

# As in the study of optimizers, 140 steps: a mask update every 5 of them, from the 14th to the 105th.
PRUNING = Study(
    question="Which weights can ResNet-18 spare: Adam's state as the judge, against magnitude and chance?",
    notebook="08_resnet_experiment.ipynb",
    arms={
        "dense": {"optimizer": "adamw"},
        **{f"{importance}_{sparsity}": {
            "optimizer": "adamwprune",
            "optimizer_options": {"target_sparsity": sparsity, "importance": importance, "update_every": 5},
        } for sparsity in (0.5, 0.7, 0.9) for importance in ("hybrid", "magnitude", "fisher", "random")},
    },
    profiles={"quick": Profile(base=OPTIMIZERS.profiles["quick"].base, seeds=(0, 1, 2))},
    note="Same schedule, coverage and interval for every score; dense is AdamW without pruning. On 8 x 8 images most "
         "positions of the last kernels see only padding: those weights get no gradient, so the scores that read one "
         "prune them first, at no cost and in the same order.",
    figure="pruning_figure",
)

STUDIES: dict[str, Study] = {"optimizers": OPTIMIZERS, "pruning": PRUNING}


def find_study(name: str, profile: str) -> Study:
    """The study of that name; ValueError if there is none, or if it has no such profile."""
    if name not in STUDIES:
        raise ValueError(f"unknown study {name!r}; allowed: {', '.join(STUDIES)}."
                         f"{did_you_mean(name, STUDIES)}")
    profiles = STUDIES[name].profiles
    if profile not in profiles:
        raise ValueError(f"unknown profile {profile!r} of study {name!r}; allowed: {', '.join(profiles)}."
                         f"{did_you_mean(profile, profiles)}")
    return STUDIES[name]
