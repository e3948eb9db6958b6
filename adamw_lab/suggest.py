"""The nearest allowed name, for error messages."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """" Did you mean 'x'?", x the closest of `allowed`; an empty string where none is close."""
    close = difflib.get_close_matches(str(name), list(allowed), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
