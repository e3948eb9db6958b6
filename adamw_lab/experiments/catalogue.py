"""The named studies. A study is data: what is asked, what is compared, and the settings of each profile."""

from adamw_lab.experiments.catalogue_optimizers import OPTIMIZER_STUDIES
from adamw_lab.experiments.catalogue_parts import PART_STUDIES
from adamw_lab.experiments.design import Profile, Study
from adamw_lab.suggest import did_you_mean

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
    note="Same schedule, coverage and interval for every score; dense is AdamW without pruning.",
    figure="pruning_figure",
)

STUDIES: dict[str, Study] = {"optimizers": OPTIMIZERS, "pruning": PRUNING, **OPTIMIZER_STUDIES, **PART_STUDIES}
"""The register: declared, with its arithmetic, before it ran. The first two show that everything works."""


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
