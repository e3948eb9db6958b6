"""What the note says of pruning by Adam's states, decided by the pruning studies and by bytes counted."""

import pandas as pd

from adamw_lab.analysis.claims import UNTESTED, Case, Claim, Find, Finding, all_of, reference
from adamw_lab.analysis.claims_machine import no_bytes, traditional_bytes
from adamw_lab.analysis.claims_optimizers import CHOOSING, WHERE
from adamw_lab.analysis.claims_settings import within
from adamw_lab.analysis.recorded import Records, again, floor, paired

NETWORKS = ("lenet5", "resnet18")
PRUNE = "note, AdamWPrune"
MEAN = "mean test accuracy over the sparsities, as a fraction"
INSIGHT = "Adam is already tracking which weights are important (high momentum, low variance)"


def mean_over_sparsities(runs: pd.DataFrame, score: str) -> pd.Series:
    """Test accuracy of a score by seed, over all sparsities at which every seed was run."""
    arms = runs["arm"].str.fullmatch(rf"{score}_0\.\d+")
    return runs[arms].pivot(index="seed", columns="arm", values="test_accuracy").dropna().mean(axis=1)


def score_duel(a: str, b: str) -> Find:
    def find(records: Records) -> Finding:
        cases = {}
        for name in NETWORKS:
            runs = records.runs(f"pruning-{name}")
            cases[name] = Case(None) if runs is None else Case(
                paired(mean_over_sparsities(runs, a), mean_over_sparsities(runs, b)),
                floor(runs, "test_accuracy", "dense", again(records.runs(f"defaults-{name}"), "test_accuracy")))
        return all_of(cases, WHERE.format("pruning-*"))
    return find


PRUNING_CLAIMS = (
    Claim("High momentum and low variance tell important weights: hybrid beats magnitude", PRUNE, MEAN,
          score_duel("hybrid", "magnitude"), "97", INSIGHT),
    Claim("High momentum and low variance tell more than Fisher's opposite", "asked here", MEAN,
          score_duel("hybrid", "fisher")),
    Claim("Adam's existing states identify important weights", PRUNE, f"hybrid less random, {MEAN}",
          score_duel("hybrid", "random"), "94",
          "Uses existing momentum and variance estimates to identify important weights"),
    Claim("AdamWPrune prunes with minimal memory overhead", PRUNE, "bytes a weight for masks and scores",
          no_bytes, "95, 114", "Achieves pruning with minimal memory overhead"),
    Claim("Traditional pruning needs extra memory", PRUNE,
          "least bytes a weight that three baselines keep, mask included", traditional_bytes, "93",
          "Needs extra memory to track weight importance"),
    Claim("AdamW is the base to prune small models with", CHOOSING,
          "LeNet-5 at 90 %, base AdamW less base AdamWSPAM; accuracy as a fraction",
          within("pruning-lenet5", "adamw_cubic", "adamwspam_cubic", "test_accuracy"), "115",
          "Configure base optimizer based on model size (AdamW for small, AdamWSPAM for large)"),
    reference("AdamWSPAM is the base to prune large models with", CHOOSING, UNTESTED,
              "no model above 15 M parameters was pruned", "115",
              "Configure base optimizer based on model size (AdamW for small, AdamWSPAM for large)"),
    reference("Reusing Adam's states to prune is new", PRUNE, UNTESTED, "the literature was not searched for it", "92",
              "Our innovation that reuses Adam's internal states for pruning decisions"),
)
