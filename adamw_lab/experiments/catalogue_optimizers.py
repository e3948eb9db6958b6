"""Studies of optimizers: out of the box, tuned with equal effort, and over the size of the model."""

from functools import partial

import pandas as pd

from adamw_lab.experiments.design import LEAN, Arms, Profile, Study
from adamw_lab.experiments.tasks import SECONDS, TASKS
from adamw_lab.experiments.tuning import Space, best_trials, edge_arms, grid_arms
from adamw_lab.provenance import RECORDS

ALL = ("sgd", "rmsprop", "adam", "adamw", "adamw_clip", "adamwadv", "adamwspam", "adamwspam_published")
# AdamW by another program: the lab's kernel with everything that it adds switched off. What separates it from AdamW is
# rounding, so their differences are the noise that a paired comparison has to rise above.
AGAIN = {"optimizer": "adamwadv", "optimizer_options": {"amsgrad": False, "clip_norm": None}}
SHORT = {"cpu": {"adamwspam_published": {"reset_interval": 60, "warmup_steps": 18, "grace_steps": 5}}, "gpu": {}}
"""profile -> optimizer -> options. At its own 500 steps between resets, SPAM as published would never reset in runs of
120 to 628 steps: nothing but its clipping would be compared. Interval and warm-up keep the ratio of the paper."""
WHOLE = "runs of 60 s and more: the declared sizes of the gpu profile, with the same command and --profile gpu"
FEW = {"lstm": 5, "resnet18": 10, "fashion": 5, "gpt": 5, "resnet50": 3}
"""task -> seeds."""
FIRST = ("sgd", "adamw", "adamwspam")
"""Those of which the largest network is tuned and run."""

ADAM = Space((3e-4, 1e-3, 3e-3, 1e-2), (0.01, 0.1))
COUPLED = Space(ADAM.rates, (0.0, 1e-4))
SPACES = {name: ADAM for name in ("adamw", "adamw_clip", "adamwadv", "adamwspam", "adamwspam_published")} | {
    "adam": COUPLED, "rmsprop": COUPLED, "sgd": Space((0.03, 0.1, 0.3, 1.0), (0.0, 5e-4))}
"""Four rates and two decays for every optimizer: eight trials. Decay is coupled where the optimizer couples it."""


def _profiles(task: str, seeds: tuple[int, ...], seconds: float) -> dict[str, Profile]:
    return {"cpu": Profile(TASKS[task]["cpu"], seeds, seconds), "gpu": Profile(TASKS[task]["gpu"], seeds)}


def _compared(task: str) -> tuple[str, ...]:
    return FIRST if task == "resnet50" else ALL


def _defaults(task: str) -> Study:
    names = _compared(task)
    return Study(
        question=f"Out of the box on {task}: how do the optimizers end with their defaults, the note's advice?",
        notebook=LEAN,
        arms={name: {"optimizer": name} for name in names} | {"adamw_again": AGAIN},
        profiles=_profiles(task, tuple(range(FEW[task])), SECONDS[task]),
        figure="",
        compared="each optimizer with AdamW, paired by seed, on the test set after the last epoch; AdamW with itself "
                 "(adamw_again) for the noise floor",
        given_up=WHOLE,
    )


def _tuning(task: str) -> Study:
    spaces = {name: SPACES[name] for name in _compared(task)}
    return Study(
        question=f"Which learning rate and weight decay does each optimizer want on {task}?",
        notebook=LEAN,
        arms=lambda profile: grid_arms(spaces, SHORT[profile]),
        profiles=_profiles(task, (100,), SECONDS[task]),
        figure="",
        compared="validation after the last epoch; eight trials an optimizer, two more for each rate and one for each "
                 "decay by which a best on the edge extends the grid (at most two of each); expected best against the "
                 "number of trials",
        given_up=f"one tuning seed where three would do better; {WHOLE}",
        more=partial(edge_arms, spaces),
    )


def chosen(task: str, profile: str) -> Arms:
    """The best trial of each optimizer, from the recorded tuning study; ValueError if there is none."""
    path = RECORDS / f"tuning-{task}-{profile}.csv"
    if not path.is_file():
        raise ValueError(f"study 'tuned-{task}' needs the recorded study 'tuning-{task}': run "
                         f"adamw-lab study tuning-{task} --profile {profile} --record")
    return best_trials(pd.read_csv(path))


def _chosen_and_again(task: str, profile: str) -> Arms:
    """The best trials, and AdamW's by another program, whose noise is that of tuned runs."""
    arms = chosen(task, profile)
    again = {name: arms["adamw"][name] for name in ("lr", "weight_decay")}
    return {**arms, "adamw_again": {**AGAIN, **again}}


def _tuned(task: str) -> Study:
    return Study(
        question=f"Tuned with equal effort on {task}: how do the optimizers end?",
        notebook=LEAN,
        arms=partial(_chosen_and_again, task),
        profiles=_profiles(task, tuple(range(FEW[task])), SECONDS[task]),
        figure="",
        compared="the trial chosen on validation, trained with seeds that chose nothing: each optimizer with AdamW, "
                 "paired by seed, on the test set; AdamW with itself (adamw_again) for the noise floor",
        given_up=WHOLE,
    )


def _width(task: str, widths: tuple[float, ...], seeds: int, seconds: float, gpu: tuple[float, ...]) -> Study:
    def arms(profile: str) -> Arms:
        shape = TASKS[task][profile].get("model_options", {})
        return {f"{name}_w{width:g}": {"optimizer": name, "model_options": {**shape, "width": width}}
                for width in (gpu if profile == "gpu" else widths) for name in ("adamw", "adamwspam")}

    return Study(
        question=f"Does size matter on {task}: SPAM's gain, and gradient spikes, against the number of parameters?",
        notebook=LEAN,
        arms=arms,
        profiles=_profiles(task, tuple(range(seeds)), seconds),
        figure="",
        compared="AdamWSPAM with AdamW at each width, paired by seed, on the test set; the slope of that gain, and of "
                 "AdamW's spike rate and highest norm, over the logarithm of the parameters",
        given_up=f"widths beyond {max(widths):g}; {WHOLE}",
    )


OPTIMIZER_STUDIES: dict[str, Study] = {
    **{f"defaults-{task}": _defaults(task) for task in FEW},
    **{f"tuning-{task}": _tuning(task) for task in FEW},
    **{f"tuned-{task}": _tuned(task) for task in FEW},
    "width-gpt": _width("gpt", (16, 32, 64, 128), 5, 8.0, (192, 384, 768)),
    "width-resnet18": _width("resnet18", (0.125, 0.25, 0.5, 1.0, 2.0), 5, 36.0, (0.25, 0.5, 1.0, 2.0)),
}
