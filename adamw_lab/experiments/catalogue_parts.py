"""Studies of parts: SPAM's switches, pruning's scores, the advice on hyperparameters, and calibration."""

from functools import partial
from typing import Any

from adamw_lab.experiments.catalogue_optimizers import WHOLE, chosen
from adamw_lab.experiments.design import LEAN, Profile, Study
from adamw_lab.experiments.tasks import LAPTOP, SECONDS, TASKS
from adamw_lab.experiments.tuning import Space, edge_arms, grid_arms

FIVE = (0, 1, 2, 3, 4)


def _spam(**options: Any) -> dict[str, Any]:
    off = {"theta": None, "spike_sigma": None}
    return {"optimizer": "adamwspam", "optimizer_options": {**off, **options}}


_RESET = {"reset_interval": 60}
SPAM_ARMS: dict[str, dict[str, Any]] = {
    "adamw": {"optimizer": "adamw"},
    "adamw_clip": {"optimizer": "adamw_clip"},
    "element": _spam(theta=50.0),
    "norm_reset": _spam(spike_sigma=2.0),
    "norm_damp": _spam(spike_sigma=2.0, spike_decay=[0.5, 0.9]),
    "periodic": _spam(**_RESET),
    "periodic_no_restart": _spam(**_RESET, restart_bias_correction=False),
    "periodic_warmup": _spam(**_RESET, warmup_steps=20),
    "adamwspam": {"optimizer": "adamwspam"},
    "all": _spam(theta=50.0, spike_sigma=2.0, **_RESET, warmup_steps=20),
    "published": {"optimizer": "adamwspam_published",
                  "optimizer_options": {"reset_interval": 60, "warmup_steps": 18, "grace_steps": 5}},
    **{f"theta_{theta:g}": _spam(theta=theta) for theta in (5.0, 500.0, 5000.0)},
}
SPIKES = {"+spikes": {"rate": 0.03, "factor": 100.0, "start": 20},
          "+noise": {"rate": 0.03, "factor": 100.0, "start": 20, "kind": "noise"}}
"""suffix of an arm -> what spoils its steps, other ones with each seed. A norm clipped at 1 undoes a factor on the
gradients; of noise it takes the size and leaves the direction."""
FEW_ARMS = ("adamw", "adamw_clip", "element", "norm_reset", "norm_damp", "adamwspam", "published")
"""Those that also meet noise."""


def _spam_study(network: str, task: str, seconds: float, **more: Any) -> Study:
    return Study(
        question=f"Which part of SPAM helps {network}, with and without injected gradient spikes?",
        notebook=LEAN,
        arms={f"{arm}{suffix}": {**SPAM_ARMS[arm], "spikes": spikes}
              for suffix, spikes in SPIKES.items() for arm in (SPAM_ARMS if suffix == "+spikes" else FEW_ARMS)}
        | SPAM_ARMS,
        profiles={
            "cpu": Profile({**TASKS[task]["cpu"], **more}, FIVE, seconds),
            "gpu": Profile(TASKS[task]["gpu"], FIVE)},
        figure="",
        compared="what spikes cost each arm, against what they cost AdamW and AdamW + clip, paired by seed, by test "
                 "loss; theta from 5 to 5000 alone; 3 % of the steps from the 20th on, others with each seed, have "
                 "gradients times 100, or for seven arms noise of 100 times their norm",
        given_up=f"other rates and factors of spikes; {WHOLE}",
    )


SCORES = ("hybrid", "magnitude", "variance", "fisher", "saliency", "random")
SPARSITIES = (0.95, 0.9, 0.8, 0.7, 0.5)
LENET = {**LAPTOP, "model": "lenet5", "dataset": "digits", "batch_size": 32, "epochs": 6}


def _scored(score: str, sparsity: float, **more: Any) -> dict[str, Any]:
    return {"optimizer": "adamwprune",
            "optimizer_options": {"target_sparsity": sparsity, "importance": score, "update_every": 5, **more}}


def _baseline(name: str, sparsity: float) -> dict[str, Any]:
    return {"optimizer": "adamw", "pruner": {"name": name, "target_sparsity": sparsity, "update_every": 5}}


PRUNING_LENET = Study(
    question="Which score spares LeNet-5 most at 50 to 95 % sparsity, on one schedule, coverage and budget?",
    notebook=LEAN,
    arms={"dense": {"optimizer": "adamw"}}
    | {f"{score}_{s}": _scored(score, s) for s in SPARSITIES for score in SCORES}
    | {f"gradual_{name}_{s}": _baseline(name, s) for s in SPARSITIES for name in ("magnitude", "movement")}
    | {f"{base}_{schedule}": _scored("hybrid", 0.9, base=base, schedule=schedule)
       for base in ("adamw", "adamwspam") for schedule in ("cubic", "late_cubic")},
    profiles={
        "cpu": Profile(LENET, FIVE, 4.0),
        "gpu": Profile({"model": "lenet5", "dataset": "fashion_mnist", "epochs": 30, "batch_size": 128}, FIVE)},
    figure="",
    compared="each score with magnitude and with the dense control at each sparsity, paired by seed, on the test set "
             "at the achieved sparsity; the two bases and the two schedules at 90 %",
    given_up=f"Fashion-MNIST, whose 10,000 test images would separate scores further; {WHOLE}",
)
PRUNING_RESNET = Study(
    question="Do the scores rank alike on ResNet-18 at 70 and 90 %?",
    notebook=LEAN,
    arms={"dense": {"optimizer": "adamw"}}
    | {f"{score}_{s}": _scored(score, s) for s in (0.9, 0.7) for score in ("hybrid", "magnitude", "fisher", "random")},
    profiles={
        "cpu": Profile(TASKS["resnet18"]["cpu"], FIVE, SECONDS["resnet18"]),
        "gpu": Profile(TASKS["resnet18"]["gpu"], FIVE)},
    figure="",
    compared="as in pruning-lenet5",
    given_up=f"quarter width; {WHOLE}",
)

BASES_CROSSED = ("adamw", "adamwadv", "adamwspam")
PRUNING_BASES = Study(
    question="Does the rule beneath AdamWPrune matter, and do scores rank alike on every base?",
    notebook=LEAN,
    arms={f"dense_{base}": {"optimizer": base} for base in BASES_CROSSED}
    | {f"{base}_{score}_{s}": _scored(score, s, base=base) for s in (0.95, 0.9, 0.8, 0.5) for base in BASES_CROSSED
       for score in ("hybrid", "magnitude", "fisher", "random")},
    profiles={
        "cpu": Profile(LENET, FIVE, 2.5),
        "gpu": Profile({"model": "lenet5", "dataset": "fashion_mnist", "epochs": 30, "batch_size": 128}, FIVE)},
    figure="",
    compared="each base with AdamW's rule, the score and the sparsity being the same, and each score with magnitude on "
             "the same base, paired by seed, on the test set at the achieved sparsity",
    given_up=f"70 % and the other scores, the rates tuned for each base; {WHOLE}",
)

PAIRS = ((0.9, 0.999), (0.95, 0.999), (0.8, 0.999), (0.9, 0.99), (0.9, 0.9999))
BETAS = Study(
    question="The note's advice on betas: (0.9, 0.999), beta1 0.95 for noisy gradients, beta2 0.99 to respond?",
    notebook=LEAN,
    arms={f"b{batch}_{b1}_{b2}": {"optimizer": "adamw", "optimizer_options": {"betas": [b1, b2]}, "batch_size": batch,
                                  "epochs": epochs}
          for batch, epochs in ((8, 1), (64, 8))
          for b1, b2 in PAIRS},
    profiles={
        "cpu": Profile({**LAPTOP, "model": "lenet5", "dataset": "digits"}, tuple(range(10)), 2.5),
        "gpu": Profile({"model": "resnet18", "dataset": "cifar10"}, FIVE)},
    figure="",
    compared="each pair with (0.9, 0.999), paired by seed, by test loss, at batches of 8 (noisy gradients) and of 64, "
             "for about 160 steps both",
    given_up=f"other tasks; {WHOLE}",
)
BETAS_GPT = Study(
    question="The note's advice on betas for a small GPT?",
    notebook=LEAN,
    arms={f"{b1}_{b2}": {"optimizer": "adamw", "optimizer_options": {"betas": [b1, b2]}} for b1, b2 in PAIRS},
    profiles={"cpu": Profile(TASKS["gpt"]["cpu"], FIVE, 4.0), "gpu": Profile(TASKS["gpt"]["gpu"], FIVE)},
    figure="",
    compared="each pair with (0.9, 0.999), paired by seed, by test loss",
    given_up=f"larger batches and models; {WHOLE}",
)
RATES = Study(
    question="Does a larger model want a smaller learning rate, as the note advises?",
    notebook=LEAN,
    arms={f"w{width}_lr{lr:g}": {"optimizer": "adamw", "lr": lr, "model_options": {"layers": 2, "width": width}}
          for width in (16, 32, 64, 128) for lr in (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)},
    profiles={
        "cpu": Profile({**TASKS["gpt"]["cpu"], "epochs": 2}, (0, 1, 2), 5.0),
        "gpu": Profile(TASKS["gpt"]["gpu"], (0, 1, 2))},
    figure="",
    compared="the learning rate that is best on validation at each width, and how far 1e-3 is behind it",
    given_up=f"widths beyond 128 and text beyond 51,200 characters; {WHOLE}",
)
DECAY = Study(
    question="Weight decay for AdamW: is 0.01 to 0.1 better than none, and than more?",
    notebook=LEAN,
    arms={f"wd{decay:g}": {"optimizer": "adamw", "weight_decay": decay} for decay in (0.0, 0.01, 0.1, 1.0)}
    | {f"adam_l2_{decay:g}": {"optimizer": "adam", "weight_decay": decay} for decay in (1e-4, 1e-2)},
    profiles={
        # 1,300 steps: in these a decay of 0.1 takes away 6 % of a weight that gets no gradient.
        "cpu": Profile({**LENET, "train_size": 400, "epochs": 100}, tuple(range(10)), 9.0),
        "gpu": Profile(TASKS["resnet18"]["gpu"], FIVE)},
    figure="",
    compared="each decay with none, paired by seed: test loss, and the gap between training and validation loss; "
             "coupled (Adam) and decoupled (AdamW)",
    given_up=f"other tasks; {WHOLE}",
)

FASHION = {"model": "resnet18", "dataset": "fashion_mnist", "batch_size": 128}
QUARTER = {**FASHION, "device": "cpu", "threads": 1, "model_options": {"width": 0.25}}
CALIBRATION_SPACES = {"sgd": Space((0.03, 0.1, 0.3), (5e-4,)), "adamw": Space((1e-3, 3e-3, 1e-2), (0.05,))}
TUNING_CALIBRATION = Study(
    question="Which learning rates do SGD and AdamW want on Fashion-MNIST?",
    notebook=LEAN,
    arms=grid_arms(CALIBRATION_SPACES),
    profiles={
        "cpu": Profile({**QUARTER, "train_size": 3000, "image_size": 14, "epochs": 3}, (100,), 25.0),
        "gpu": Profile({**FASHION, "epochs": 10}, (100,))},
    figure="",
    compared="validation after the last epoch; three rates each, a best on the edge extends the grid",
    given_up="in profile cpu the rates are tuned on 3,000 images of 14 pixels",
    more=partial(edge_arms, CALIBRATION_SPACES),
)
CALIBRATION = Study(
    question="How near does ResNet-18 come to what is published for Fashion-MNIST, with SGD and with AdamW?",
    notebook=LEAN,
    arms=lambda profile: chosen("calibration", "gpu" if profile == "gpu" else "cpu"),
    profiles={
        "cpu": Profile({**FASHION, "device": "cpu", "threads": 1, "epochs": 4}, (0,), 3600.0),
        "day": Profile({**FASHION, "device": "cpu", "epochs": 30}, (0,)),
        "gpu": Profile({**FASHION, "epochs": 60}, (0, 1, 2))},
    figure="",
    compared="test accuracy after the last epoch with the published 94.9 (ResNet-18, an unverified submission) and "
             "95.6 (ResNet-20 with random erasing)",
    given_up="in profile cpu all but four epochs, an hour of a core a run; --profile day has thirty, resumable",
)
PART_STUDIES: dict[str, Study] = {
    "spam-ablation": _spam_study("a small GPT", "gpt", 5.0, epochs=2),
    "spam-ablation-resnet18": _spam_study("a small ResNet", "resnet18", 4.5),
    "pruning-lenet5": PRUNING_LENET, "pruning-resnet18": PRUNING_RESNET, "pruning-bases": PRUNING_BASES,
    "betas": BETAS, "betas-gpt": BETAS_GPT,
    "rates": RATES, "decay": DECAY,
    "tuning-calibration": TUNING_CALIBRATION, "calibration": CALIBRATION,
}
