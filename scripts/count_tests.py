"""Prints why tests were skipped, which failed, a line per sandbox backend that played the contract, `contract NAME: N passed, M failed`, and, last, `N passed, N failed`, from the reports of vitest and pytest in the
folder given as first argument. With `contract` as second one the lines of the backends are the last.

A test that failed, had a second go (`SANDLOT_SECOND_GO=1`) and passed counts as passed and is named with what it said: it is unsteady, which is a defect
of it or of what it tests. What concerns rewards, and what a test leaves behind, has no second go: there one failure is a failure."""

import json
import sys
import textwrap
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

MOST_LINES = 12
"""Of what a failed test says; the rest stands where it ran."""

FIRST_GO_COUNTS = ("src/verdict/", "reward_regression", "failed on teardown")
"""Parts of a test's file, name or words."""

SECOND_GO = ".second-go"
"""Ends the name of pytest's report of those tests that failed in the report without it."""


class Tally:
    """Of all reports together. A test is given by its name and, if it failed in some go, by what it said."""

    def __init__(self) -> None:
        self.passed = 0
        self.skipped: Counter[str] = Counter()
        self.failed: list[tuple[str, str]] = []
        self.unsteady: list[tuple[str, str]] = []

    def failed_first(self, name: str, said: str, passed_then: bool, where: str = "") -> None:
        if passed_then and not any(part in text for part in FIRST_GO_COUNTS for text in (where, name, said)):
            self.passed += 1
            self.unsteady.append((name, said))
        else:
            self.failed.append((name, said))

    def print(self) -> None:
        for reason, count in sorted(self.skipped.items()):
            print(f"{count} skipped: {reason}")
        for how, found in (("passed in its second go only", self.unsteady), ("failed", self.failed)):
            for name, said in found:
                print(f"{how}: {name}")
                print(textwrap.indent("\n".join(said.splitlines()[:MOST_LINES]), "    "))


def main() -> None:
    """Exit status 1 when a test failed, or when a test file could not even be loaded."""
    tally = Tally()
    backends: dict[str, Counter[str]] = {}
    folder = Path(sys.argv[1])
    for report in sorted(folder.rglob("*.json")):
        vitest = json.loads(report.read_text())
        count_vitest(vitest, tally)
        count_backends(vitest, backends)
    for report in sorted(folder.glob("*.xml")):
        if not report.stem.endswith(SECOND_GO):
            count_pytest(report, tally)
    tally.print()
    total = [f"{tally.passed} passed, {len(tally.failed)} failed"]
    each = [f"contract {name}: {of_backend['passed']} passed, {of_backend['failed']} failed" for name, of_backend in backends.items()]
    print("\n".join(total + each if sys.argv[2:] == ["contract"] else each + total))
    sys.exit(1 if tally.failed else 0)


def count_vitest(report: dict, tally: Tally) -> None:
    for file in report["testResults"]:
        tests = file["assertionResults"]
        if file["status"] == "failed" and not any(test["status"] == "failed" for test in tests):
            tally.failed.append((file["name"], file["message"]))
        for test in tests:
            said = "\n".join(test["failureMessages"])
            if test["status"] not in ("passed", "failed"):
                tally.skipped[test.get("meta", {}).get("skipped", Path(file["name"]).name)] += 1
            elif test["status"] == "failed" or said:
                tally.failed_first(test["fullName"], said, test["status"] == "passed", file["name"])
            else:
                tally.passed += 1


def count_backends(report: dict, backends: dict[str, Counter[str]]) -> None:
    """Of the one suite that every backend plays: its tests say in their meta data which backend that was."""
    for file in report["testResults"]:
        for test in file["assertionResults"]:
            name = test.get("meta", {}).get("backend")
            if name is not None:
                backends.setdefault(name, Counter())[test["status"]] += 1


def count_pytest(report: Path, tally: Tally) -> None:
    second = report.with_stem(report.stem + SECOND_GO)
    failed = failed_in(report)
    left = failed_in(second) if second.exists() else failed
    for case in cases_in(report):
        reason = case.find("skipped")
        if reason is not None:
            tally.skipped[reason.get("message", "")] += 1
        elif name_of(case) not in failed:
            tally.passed += 1
    for name, said in failed.items():
        tally.failed_first(name, said, name not in left)


def failed_in(report: Path) -> dict[str, str]:
    """What failed there, and what it said first."""
    failed: dict[str, str] = {}
    for case in cases_in(report):
        for found in (*case.findall("failure"), *case.findall("error")):
            failed.setdefault(name_of(case), found.get("message", ""))
    return failed


def cases_in(report: Path) -> Iterator[ElementTree.Element]:
    return ElementTree.parse(report).getroot().iter("testcase")


def name_of(case: ElementTree.Element) -> str:
    return f"{case.get('classname')}::{case.get('name')}"


main()
