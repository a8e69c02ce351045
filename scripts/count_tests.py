"""Prints why tests were skipped, which failed, a line per sandbox backend that played the contract, `contract NAME: N passed, M failed`, and, last, `N passed, N failed`, from the reports of vitest and pytest in the
folder given as first argument. With `contract` as second one the lines of the backends are the last."""

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
    backends: dict[str, Counter[str]] = {}
    folder = Path(sys.argv[1])
    for report in sorted(folder.rglob("*.json")):
        vitest = json.loads(report.read_text())
        count_vitest(vitest, counts, skipped, failures)
        count_backends(vitest, backends)
    for report in folder.glob("*.xml"):
        count_pytest(ElementTree.parse(report).getroot(), counts, skipped, failures)
    for reason, count in sorted(skipped.items()):
        print(f"{count} skipped: {reason}")
    for name, message in failures:
        print(f"failed: {name}")
        print(textwrap.indent("\n".join(message.splitlines()[:MOST_LINES]), "    "))
    total = [f"{counts['passed']} passed, {len(failures)} failed"]
    each = [f"contract {name}: {of_backend['passed']} passed, {of_backend['failed']} failed" for name, of_backend in backends.items()]
    print("\n".join(total + each if sys.argv[2:] == ["contract"] else each + total))
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
                skipped[test.get("meta", {}).get("skipped", Path(file["name"]).name)] += 1


def count_backends(report: dict, backends: dict[str, Counter[str]]) -> None:
    """Of the one suite that every backend plays: its tests say in their meta data which backend that was."""
    for file in report["testResults"]:
        for test in file["assertionResults"]:
            name = test.get("meta", {}).get("backend")
            if name is not None:
                backends.setdefault(name, Counter())[test["status"]] += 1


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
