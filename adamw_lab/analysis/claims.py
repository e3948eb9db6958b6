"""The ledger: every claim of the note and the headline claims of this project, each with its test and its verdict."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from adamw_lab.analysis.recorded import RECORDS, Records
from adamw_lab.analysis.stats import VERDICTS, Effect, verdict, worst_verdict

COLUMNS = ("claim", "source", "line", "words", "test", "verdict", "effect", "low", "high", "seeds", "floor", "case",
           "evidence")
"""`line` is the line of the note and `words` are its own, or the README's. `effect` is positive where the claim is
borne out, in the unit that `test` names, with its 95 % interval; a verdict needs more than the noise `floor`. Of a
claim about all or some of several cases the numbers are those of `case`, the one that decides; of a claim about most of
them, the share that supports it less the share that refutes it."""

PROFILE = "<profile>"
"""Stands in evidence for the profile of the records."""
SUPPORTED, REFUTED, NO_DIFFERENCE, UNTESTED = VERDICTS


@dataclass(frozen=True)
class Finding:
    """What a test found: the verdict, the effect behind it, and where the numbers are."""

    verdict: str
    evidence: str
    effect: Effect | None = None
    floor: float | None = None
    case: str | None = None


@dataclass(frozen=True)
class Case:
    """One of the cases that a claim is about: what was measured there and its noise floor, or why it tells nothing."""

    effect: Effect | None
    floor: float = 0.0
    why: str = "not recorded"


Find = Callable[[Records], Finding]
Judge = Callable[[Effect | None, float], str]


@dataclass(frozen=True)
class Claim:
    """A sentence that may be true or not.

    Attributes:
        claim: the sentence, so put that it can be tested.
        source: whose it is, and where: "note, <section>", "README", or "asked here", which nobody claims.
        test: what is compared, and in which unit.
        find: recorded studies -> what was found.
        line: of the note.
        words: that the note or the README has for it.
    """

    claim: str
    source: str
    test: str
    find: Find
    line: str = ""
    words: str = ""


def measured(effect: Effect | None, evidence: str, floor: float = 0.0, judge: Judge = verdict) -> Finding:
    """The verdict that an effect and its noise floor give; where there is no effect, `evidence` says what would."""
    if effect is None:
        return Finding(UNTESTED, f"not recorded yet: {evidence}")
    return Finding(judge(effect, floor), evidence, effect, floor)


def all_of(cases: Mapping[str, Case], evidence: str, judge: Judge = verdict) -> Finding:
    """The verdict on a claim about all of several cases: that of the worst, whose numbers are shown."""
    said = {name: judge(case.effect, case.floor) for name, case in cases.items() if case.effect is not None}
    found = worst_verdict(said) if said else UNTESTED
    return _decided(found, cases, said, evidence, min)


def some_of(cases: Mapping[str, Case], evidence: str, judge: Judge = verdict) -> Finding:
    """The verdict on a claim that there are such cases: supported by one of them, refuted where all refute it."""
    said = {name: judge(case.effect, case.floor) for name, case in cases.items() if case.effect is not None}
    found = next((one for one in (SUPPORTED, NO_DIFFERENCE, REFUTED) if one in said.values()), UNTESTED)
    return _decided(found, cases, said, evidence, max)


def most_of(cases: Mapping[str, Case], evidence: str, judge: Judge = verdict) -> Finding:
    """The verdict on a claim about most cases: supported by more than half of them, refuted by half or more."""
    said = {name: judge(case.effect, case.floor) for name, case in cases.items() if case.effect is not None}
    if not said:
        return _decided(UNTESTED, cases, said, evidence, max)
    share = {one: sum(found == one for found in said.values()) / len(said) for one in (SUPPORTED, REFUTED)}
    found = SUPPORTED if share[SUPPORTED] > 0.5 else REFUTED if share[REFUTED] >= 0.5 else NO_DIFFERENCE
    balance, seeds = share[SUPPORTED] - share[REFUTED], min(cases[name].effect.seeds for name in said)
    return Finding(found, _told(cases, said, evidence), Effect(balance, balance, balance, seeds))


def _decided(found: str, cases: Mapping[str, Case], said: Mapping[str, str], evidence: str,
             extreme: Callable[..., tuple[float, str]]) -> Finding:
    """A finding with the numbers of the case of that verdict that is least, or most, for the claim in half-widths."""
    deciding = [(_strength(cases[name].effect), name) for name in said if said[name] == found]
    if not deciding:
        return Finding(found, _told(cases, said, evidence))
    _, name = extreme(deciding)
    return Finding(found, _told(cases, said, evidence), cases[name].effect, cases[name].floor, name)


def _told(cases: Mapping[str, Case], said: Mapping[str, str], evidence: str) -> str:
    return f"{evidence}: " + ", ".join(f"{name} {said.get(name, case.why)}" for name, case in cases.items())


def _strength(effect: Effect) -> float:
    half = (effect.high - effect.low) / 2
    return effect.mean / half if half else math.copysign(math.inf, effect.mean)


def told(row: pd.Series) -> str:
    """A row of the ledger as a sentence, with its noise floor where that decides."""
    if pd.isna(row["effect"]):
        return f"{row['claim']}: {row['verdict']} ({row['test']}; {row['evidence']})."
    words = [f"{row['effect'] + 0.0:+.3g}"]
    if row["high"] > row["low"]:
        words[0] += f", {row['low']:+.3g} to {row['high']:+.3g}; {row['seeds']} seeds"
    words.append(row["test"])
    if row["verdict"] == NO_DIFFERENCE and row["floor"] > 0:
        words.append(f"noise floor {row['floor']:.2g}")
    if isinstance(row["case"], str):
        words.append(f"the case that decides: {row['case']}")
    return f"{row['claim']}: {row['verdict']} ({'; '.join(words)})."


def reference(claim: str, source: str, said: str, evidence: str, line: str = "", words: str = "") -> Claim:
    """A claim of fact, settled by what is published and not by a measurement."""
    return Claim(claim, source, "published sources", lambda records: Finding(said, evidence), line, words)


def by_tests(claim: str, evidence: str, words: str) -> Claim:
    """A claim of the README that tests hold; `evidence` names them, a file or a file and a function, and no others."""
    return Claim(claim, "README", "the test suite", lambda records: Finding(SUPPORTED, evidence), words=words)


def all_claims() -> tuple[Claim, ...]:
    """Every claim of the ledger, in the order of its rows."""
    from adamw_lab.analysis.claims_facts import FACTS
    from adamw_lab.analysis.claims_optimizers import OPTIMIZER_CLAIMS
    from adamw_lab.analysis.claims_pruning import PRUNING_CLAIMS
    from adamw_lab.analysis.claims_readme import README_CLAIMS
    from adamw_lab.analysis.claims_settings import SETTING_CLAIMS
    from adamw_lab.analysis.claims_spam import SPAM_CLAIMS

    return (*OPTIMIZER_CLAIMS, *SPAM_CLAIMS, *PRUNING_CLAIMS, *SETTING_CLAIMS, *FACTS, *README_CLAIMS)


def ledger(records: Records | None = None, claims: Iterable[Claim] | None = None) -> pd.DataFrame:
    """The claims with their verdicts, computed from the recorded studies; a row a claim, columns `COLUMNS`.

    `claims` are some of `all_claims`; None: all of them.
    """
    records = Records() if records is None else records
    rows = []
    for claim in all_claims() if claims is None else claims:
        found = claim.find(records)
        effect, evidence = found.effect, found.evidence.replace(PROFILE, records.profile)
        numbers = (None,) * 4 if effect is None else (effect.mean, effect.low, effect.high, effect.seeds)
        rows.append((claim.claim, claim.source, claim.line, claim.words, claim.test, found.verdict, *numbers,
                     found.floor, found.case, evidence))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"seeds": "Int64"})


def write_ledger(path: str | Path = RECORDS / "claims.csv") -> Path:
    """Write the ledger; the same records give the same bytes."""
    ledger().to_csv(path, index=False, float_format="%.4g", lineterminator="\n")
    return Path(path)
