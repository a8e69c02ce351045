"""The reward function for verl's own loop: `reward.custom_reward_function.path` and `.name` name it."""

from __future__ import annotations

from typing import Any

from sandlot.adapters.attempt import report_of_lost
from sandlot.adapters.verl.tools import PROBLEM, REPORT


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: dict[str, Any],
    on_failure: str = "raise",
    **_: Any,
) -> dict[str, float]:
    """
    The reward that the server gave, never anything read out of the text. A policy that did not submit, or called no
    tool, gets 0. Where the infrastructure failed there is no reward: raises, or with `on_failure: zero` counts a 0.
    """
    if on_failure not in ("raise", "zero"):
        raise ValueError(f'reward_kwargs.on_failure: expected "raise" or "zero", got {on_failure!r}')
    problem, report = extra_info.pop(PROBLEM, ""), extra_info.pop(REPORT, None)
    if problem and on_failure == "raise":
        raise RuntimeError(f"no reward for a sample of {data_source}: {problem}")
    return dict(report) if report else {**report_of_lost(), "infra_failed": 0.0}
