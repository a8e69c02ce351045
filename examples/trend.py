"""Whether a run has learnt; whether one on shuffled rewards has stayed where it was, as it must."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

ENDS = 3
"""So many steps at either end of a run say how far its mean reward rose."""
ERRORS = 3
"""A shuffled run is flat where its first and its last third differ by no more than so many standard errors of that difference."""


def judged(rows: Sequence[Mapping[str, Any]], shuffled: bool, least: float) -> tuple[bool, str]:
    """Of the rows of a curve: whether the run did what it must, and a sentence with the numbers. A run must rise by `least`, a shuffled one be flat."""
    return _flat(rows) if shuffled else _risen(rows, least)


def _risen(rows: Sequence[Mapping[str, Any]], least: float) -> tuple[bool, str]:
    (first, _), (last, _) = _mean(rows[:ENDS]), _mean(rows[-ENDS:])
    holds = last - first >= least  # not so, if one of them is NaN
    found = f"{first:.2f} over the first {ENDS} steps, {last:.2f} over the last {ENDS}"
    return holds, f"{found}: {'it learnt' if holds else f'not the rise of {least} that was asked for'}"


def _flat(rows: Sequence[Mapping[str, Any]]) -> tuple[bool, str]:
    """Were the policy the same throughout, the samples of a third would be draws of one coin; three errors are exceeded in 3 of 1,000 runs."""
    third = max(1, len(rows) // 3)
    (first, before), (last, after) = _mean(rows[:third]), _mean(rows[-third:])
    if not before or not after:
        return False, "a third of the run has no reward at all"
    pooled = (first * before + last * after) / (before + after)
    bound = ERRORS * math.sqrt(pooled * (1 - pooled) * (1 / before + 1 / after))
    holds = abs(last - first) <= bound
    found = f"{first:.3f} over the first third, {last:.3f} over the last, {ERRORS} standard errors are {bound:.3f}"
    return holds, f"{found}: {'flat' if holds else 'not flat'}"


def _mean(rows: Sequence[Mapping[str, Any]]) -> tuple[float, int]:
    """The mean over all samples with a reward, and how many these are; NaN of none."""
    known = [row for row in rows if row["samples"]]
    samples = sum(row["samples"] for row in known)
    return (sum(row["reward"] * row["samples"] for row in known) / samples if samples else math.nan), samples
