"""Prints why tests were skipped and, last, `N passed, N failed`, from the reports of vitest and pytest in the folder given as argument."""

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path


def main() -> None:
    """Exit status 1 when a test failed, or when a test file could not even be loaded."""
    counts: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    folder = Path(sys.argv[1])
    for report in folder.glob("*.json"):
        count_vitest(json.loads(report.read_text()), counts, skipped)
    for report in folder.glob("*.xml"):
        count_pytest(ElementTree.parse(report).getroot(), counts, skipped)
    for reason, count in sorted(skipped.items()):
        print(f"{count} skipped: {reason}")
    print(f"{counts['passed']} passed, {counts['failed']} failed")
    sys.exit(1 if counts["failed"] else 0)


def count_vitest(report: dict, counts: Counter[str], skipped: Counter[str]) -> None:
    for file in report["testResults"]:
        tests = file["assertionResults"]
        if file["status"] == "failed" and not any(test["status"] == "failed" for test in tests):
            counts["failed"] += 1
        for test in tests:
            if test["status"] in ("passed", "failed"):
                counts[test["status"]] += 1
            else:
                skipped[Path(file["name"]).name] += 1


def count_pytest(root: ElementTree.Element, counts: Counter[str], skipped: Counter[str]) -> None:
    for case in root.iter("testcase"):
        reason = case.find("skipped")
        if reason is not None:
            skipped[reason.get("message", "")] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            counts["failed"] += 1
        else:
            counts["passed"] += 1


main()
