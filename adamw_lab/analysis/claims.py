"""The ledger: every claim of the note and the headline claims of this project, each with its test and its verdict."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from adamw_lab.analysis.recorded import RECORDS, Records
from adamw_lab.analysis.stats import Effect, verdict, worst_verdict

COLUMNS = ("claim", "source", "test", "verdict", "effect", "low", "high", "seeds", "evidence")
"""`effect` is positive where the claim is borne out, in the unit that `test` names, with its 95 % interval."""


@dataclass(frozen=True)
class Finding:
    """What a test found: the verdict, the effect behind it, and where the numbers are."""

    verdict: str
    evidence: str
    effect: Effect | None = None


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
    return Finding(verdict(effect, floor), evidence if effect else f"not recorded yet: {evidence}", effect)


def over(cases: Mapping[str, tuple[Effect | None, float]], evidence: str) -> Finding:
    """The verdict on a claim about all of several cases, with the effect of the one that decides it.

    Cases that are not recorded do not count, and are named in the evidence; if none is, nothing is tested.
    """
    verdicts = {name: verdict(effect, floor) for name, (effect, floor) in cases.items() if effect is not None}
    found = worst_verdict(verdicts) if verdicts else verdict(None)
    deciding = [(effect.mean, name, effect) for name, (effect, _) in cases.items()
                if verdicts.get(name) == found]
    each = ", ".join(f"{name} {verdicts.get(name, 'not recorded')}" for name in cases)
    return Finding(found, f"{evidence}: {each}", min(deciding)[2] if deciding else None)


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
        effect = found.effect
        numbers = (None,) * 4 if effect is None else (effect.mean, effect.low, effect.high, effect.seeds)
        rows.append((claim.claim, claim.source, claim.test, found.verdict, *numbers, found.evidence))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"seeds": "Int64"})


def write_ledger(path: str | Path = RECORDS / "claims.csv") -> Path:
    """Write the ledger; the same records give the same bytes."""
    ledger().to_csv(path, index=False, float_format="%.4g", lineterminator="\n")
    return Path(path)
