"""Answers as an official release of swebench does: one JSON list of questions per line in, one of answers per line out.

Usage: oracle.py FOLDER, where FOLDER holds the package as `pip install --no-deps --target` lays it out. What it imports besides
itself is replaced by empty modules: parsing and grading use none of it.
"""

import base64
import importlib
import json
import os
import sys
import tempfile
import types
from importlib.machinery import ModuleSpec
from pathlib import Path

PARSER_MODULES = ["python", "javascript", "c", "go", "java", "php", "ruby", "rust"]


ABSENT = {"datasets", "docker", "dotenv", "requests", "tqdm", "unidiff"}


class Absent:
    """Finds the packages that swebench asks for and that are not here."""

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self, is_package=True) if name.split(".")[0] in ABSENT else None

    def create_module(self, spec):
        module = types.ModuleType(spec.name)
        module.__path__ = []
        module.__getattr__ = lambda name: type(name, (), {})
        return module

    def exec_module(self, module):
        pass


def load(folder):
    sys.path.insert(0, folder)
    sys.meta_path.append(Absent())
    # Their own __init__ would import everything.
    for name in ["swebench", "swebench.harness"]:
        package = types.ModuleType(name)
        package.__path__ = [os.path.join(folder, *name.split("."))]
        sys.modules[name] = package
    for name in ["grading", "reporting", *(f"log_parsers.{module}" for module in PARSER_MODULES)]:
        importlib.import_module(f"swebench.harness.{name}")
    return sys.modules["swebench.harness.grading"]


def parse(question):
    name = question["parser"]
    modules = [sys.modules[f"swebench.harness.log_parsers.{module}"] for module in PARSER_MODULES]
    parser = next(getattr(module, name) for module in modules if hasattr(module, name))
    spec = types.SimpleNamespace(instance_id=question["instance"]["id"], version=question["instance"]["version"])
    return list(parser(question["log"], spec).items())


def report(question):
    """The report of a run that printed these bytes, as report.json has it, and the map behind it."""
    grading = sys.modules["swebench.harness.grading"]
    row = question["row"]
    spec = types.SimpleNamespace(**row)
    if hasattr(grading, "MAP_REPO_VERSION_TO_SPECS"):  # 4.1.0 asks for a version that it knows
        spec.version = next(iter(grading.MAP_REPO_VERSION_TO_SPECS[row["repo"]]))
    raw = base64.b64decode(question["log"])
    # docker_utils.exec_run_with_timeout of each release.
    text = raw.decode(errors="replace") if hasattr(grading, "PARSER_REGISTRY") else raw.decode()
    with tempfile.NamedTemporaryFile("w", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as file:
        file.write(text)
        file.flush()
        prediction = {"instance_id": row["instance_id"], "model_patch": question["patch"]}
        statuses, _ = grading.get_logs_eval(spec, file.name)
        answer = grading.get_eval_report(spec, prediction, file.name, include_tests_status=True)
    return {"statuses": list(statuses.items()), "report": json.dumps(answer, indent=4)}


def run_report(question):
    """What make_run_report writes when it finds these files, and the file's name."""
    reporting = sys.modules["swebench.harness.reporting"]
    with tempfile.TemporaryDirectory() as folder:
        before = os.getcwd()
        os.chdir(folder)
        try:
            for name, text in question["files"].items():
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                Path(name).write_text(text)
            path = reporting.make_run_report(question["predictions"], question["rows"], question["run_id"])
            return {"name": str(path), "report": path.read_text()}
        finally:
            os.chdir(before)


OPERATIONS = {"parse": parse, "report": report, "run_report": run_report}


def answer(question):
    try:
        return {"answer": OPERATIONS[question["operation"]](question)}
    except Exception as error:  # what it raises is the answer
        return {"raises": f"{type(error).__name__}: {error}"}


def main():
    answers = os.fdopen(os.dup(1), "w")
    sys.stdout = open(os.devnull, "w")  # some parsers print
    load(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps([answer(question) for question in json.loads(line)]), file=answers, flush=True)


main()
