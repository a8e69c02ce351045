"""Prints why tests were skipped, which failed and, last, `N passed, N failed`, from the reports of vitest and pytest in the folder given as argument."""

import json
import sys
import textwrap
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

MOST_LINES = 12
"""Of what a failed test says; the rest stands where it ran."""


def main() -> None:
    """Exit status 1 when a test failed, or when a test file could not even be loaded."""
    counts: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    failures: list[tuple[str, str]] = []
    folder = Path(sys.argv[1])
    for report in folder.glob("*.json"):
        count_vitest(json.loads(report.read_text()), counts, skipped, failures)
    for report in folder.glob("*.xml"):
        count_pytest(ElementTree.parse(report).getroot(), counts, skipped, failures)
    for reason, count in sorted(skipped.items()):
        print(f"{count} skipped: {reason}")
    for name, message in failures:
        print(f"failed: {name}")
        print(textwrap.indent("\n".join(message.splitlines()[:MOST_LINES]), "    "))
    print(f"{counts['passed']} passed, {len(failures)} failed")
    sys.exit(1 if failures else 0)


def count_vitest(report: dict, counts: Counter[str], skipped: Counter[str], failures: list[tuple[str, str]]) -> None:
    for file in report["testResults"]:
        tests = file["assertionResults"]
        if file["status"] == "failed" and not any(test["status"] == "failed" for test in tests):
            failures.append((file["name"], file["message"]))
        for test in tests:
            if test["status"] == "failed":
                failures.append((test["fullName"], "\n".join(test["failureMessages"])))
            elif test["status"] == "passed":
                counts["passed"] += 1
            else:
                skipped[Path(file["name"]).name] += 1


def count_pytest(root: ElementTree.Element, counts: Counter[str], skipped: Counter[str], failures: list[tuple[str, str]]) -> None:
    for case in root.iter("testcase"):
        reason = case.find("skipped")
        broken = [found for kind in ("failure", "error") if (found := case.find(kind)) is not None]
        if reason is not None:
            skipped[reason.get("message", "")] += 1
        elif broken:
            failures.append((f"{case.get('classname')}::{case.get('name')}", broken[0].get("message", "")))
        else:
            counts["passed"] += 1


main()
