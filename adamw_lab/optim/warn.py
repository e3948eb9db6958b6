"""Warnings that point at the user's line."""

import sys
import warnings

OURS = ("torch", "adamw_lab")


def warn(message: str) -> None:
    """Warn, in the name of the line that called into torch or this package: torch wraps a step in calls of its own,
    more or fewer by version."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in OURS:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
