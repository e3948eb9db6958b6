"""The ledger: every claim of the note and the headline claims of this project, each with its test and its verdict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from adamw_lab.analysis.recorded import RECORDS, Records
from adamw_lab.analysis.stats import VERDICTS, Effect, verdict, worst_verdict

COLUMNS = ("claim", "source", "test", "verdict", "effect", "low", "high", "seeds", "floor", "case", "evidence")
"""`effect` is positive where the claim is borne out, in the unit that `test` names, with its 95 % interval; a verdict
needs more than the noise `floor`. Of a claim about several cases the numbers are of `case`, the one that decides."""


PROFILE = "<profile>"
"""Stands in evidence for the profile of the records."""


@dataclass(frozen=True)
class Finding:
    """What a test found: the verdict, the effect behind it, and where the numbers are."""

    verdict: str
    evidence: str
    effect: Effect | None = None
    floor: float | None = None
    case: str | None = None


Find = Callable[[Records], Finding]


@dataclass(frozen=True)
class Claim:
    """A sentence that may be true or not.

    Attributes:
        claim: the sentence.
        source: whose it is, and where: "note, <section>" or "README".
        test: what is compared, and in which unit.
        find: recorded studies -> what was found.
    """

    claim: str
    source: str
    test: str
    find: Find


def measured(effect: Effect | None, evidence: str, floor: float = 0.0) -> Finding:
    """The verdict that an effect and its noise floor give; where there is no effect, `evidence` says what would."""
    if effect is None:
        return Finding(verdict(None), f"not recorded yet: {evidence}")
    return Finding(verdict(effect, floor), evidence, effect, floor)


def over(cases: Mapping[str, tuple[Effect | None, float]], evidence: str) -> Finding:
    """The verdict on a claim about all of several cases, with the effect of the one that decides it.

    Cases that are not recorded do not count, and are named in the evidence; if none is, nothing is tested.
    """
    verdicts = {name: verdict(effect, floor) for name, (effect, floor) in cases.items() if effect is not None}
    found = worst_verdict(verdicts) if verdicts else verdict(None)
    each = ", ".join(f"{name} {verdicts.get(name, 'not recorded')}" for name in cases)
    deciding = [(effect.mean, name) for name, (effect, _) in cases.items() if effect and verdicts[name] == found]
    if not deciding:
        return Finding(found, f"{evidence}: {each}")
    _, case = min(deciding)
    return Finding(found, f"{evidence}: {each}", *cases[case], case)


def most(cases: Mapping[str, tuple[Effect | None, float]], evidence: str) -> Finding:
    """The verdict on a claim about most of several cases: refuted where half of them are or more.

    The effect is the share of the cases that do not refute it, less one half.
    """
    verdicts = {name: verdict(effect, floor) for name, (effect, floor) in cases.items() if effect is not None}
    if not verdicts:
        return Finding(verdict(None), f"not recorded yet: {evidence}")
    against = [name for name, found in verdicts.items() if found == VERDICTS[1]]
    share = 0.5 - len(against) / len(verdicts)
    seeds = min(effect.seeds for effect, _ in cases.values() if effect is not None)
    said = f"{len(against)} of {len(verdicts)} refute it: {', '.join(against) or 'none'}"
    return Finding(VERDICTS[0] if share > 0 else VERDICTS[1], f"{evidence}: {said}", Effect(share, share, share, seeds))


def told(row: pd.Series) -> str:
    """A row of the ledger that has an effect as a sentence."""
    words = [f"{row['effect'] + 0.0:+.3g}"]
    if row["high"] > row["low"]:
        words[0] += f", {row['low']:+.3g} to {row['high']:+.3g}; {row['seeds']} seeds"
    words.append(row["test"])
    if isinstance(row["case"], str):
        words.append(f"the case that decides: {row['case']}")
    return f"{row['claim']}: {row['verdict']} ({'; '.join(words)})."


def reference(claim: str, source: str, said: str, evidence: str) -> Claim:
    """A claim of fact, settled by what is published and not by a measurement."""
    return Claim(claim, source, "published sources", lambda records: Finding(said, evidence))


def ledger(records: Records | None = None) -> pd.DataFrame:
    """The claims with their verdicts, computed from the recorded studies; a row a claim, columns `COLUMNS`."""
    from adamw_lab.analysis.claims_facts import FACTS
    from adamw_lab.analysis.claims_measured import MEASURED

    records = Records() if records is None else records
    rows = []
    for claim in (*MEASURED, *FACTS):
        found = claim.find(records)
        effect, evidence = found.effect, found.evidence.replace(PROFILE, records.profile)
        numbers = (None,) * 4 if effect is None else (effect.mean, effect.low, effect.high, effect.seeds)
        rows.append((claim.claim, claim.source, claim.test, found.verdict, *numbers, found.floor, found.case, evidence))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"seeds": "Int64"})


def write_ledger(path: str | Path = RECORDS / "claims.csv") -> Path:
    """Write the ledger; the same records give the same bytes."""
    ledger().to_csv(path, index=False, float_format="%.4g", lineterminator="\n")
    return Path(path)
