"""Prints, as JSON, what the constants of an installed `swebench` package say of one repository and version.

usage: read_spec.py PACKAGES REPO VERSION CLONE COMMIT
       read_spec.py PACKAGES        the Python of every repository and version

PACKAGES is the folder that holds the `swebench` package. Requirement files that the constants only name are read from COMMIT of the git clone
CLONE, by the package's own functions. Nothing is fetched, and nothing of the package runs but its constants and these functions.
"""

import json
import re
import shlex
import subprocess
import sys
import types
from unittest import mock


def main(packages, repo, version, clone, commit):
    stand_in(packages, clone)
    from swebench.harness import constants

    versions = constants.MAP_REPO_VERSION_TO_SPECS.get(repo)
    if versions is None:
        return {"problem": f"the constants know no repository {repo}"}
    specs = versions.get(version)
    if specs is None:
        known = ", ".join(sorted(versions))
        return {"problem": f"the constants know no version {version} of {repo}, only {known}"}
    if "python" not in specs:
        return {"problem": f"the constants for {repo} {version} name no Python version"}
    try:
        packages = dependencies(repo, specs, commit)
    except ValueError as problem:
        return {"problem": str(problem)}
    return {
        "python": str(specs["python"]),
        **packages,
        "pip_packages": list(specs.get("pip_packages", [])),
        "pre_install": as_lines(constants.MAP_REPO_TO_INSTALL.get(repo, [])) + list(specs.get("pre_install", [])),
        "install": as_lines(specs.get("install", [])),
        "eval_commands": list(specs.get("eval_commands", [])),
    }


def pythons(packages):
    stand_in(packages, "")
    from swebench.harness import constants

    every = constants.MAP_REPO_VERSION_TO_SPECS.items()
    return {repo: {version: str(specs["python"]) for version, specs in versions.items() if "python" in specs} for repo, versions in every}


def stand_in(packages, clone):
    """Makes the package importable without its dependencies, and answers its downloads from the clone."""
    sys.path.insert(0, packages)
    for name in ("swebench", "swebench.harness"):
        module = types.ModuleType(name)
        module.__path__ = [packages + "/" + name.replace(".", "/")]
        sys.modules[name] = module
    for name in ("datasets", "dotenv", "tqdm", "tqdm.auto", "unidiff", "requests"):
        sys.modules[name] = mock.MagicMock(name=name)
    sys.modules["requests"].get = lambda url, **_: from_clone(clone, url)


def from_clone(clone, url):
    """The answer to https://HOST/OWNER/NAME/COMMIT/PATH."""
    commit, path = url.split("://", 1)[1].split("/", 3)[3].split("/", 1)
    shown = subprocess.run(["git", "-C", clone, "show", f"{commit}:{path}"], capture_output=True)
    text = shown.stdout.decode("utf-8", "replace")
    return types.SimpleNamespace(status_code=200 if shown.returncode == 0 else 404, text=text)


def dependencies(repo, specs, commit):
    """`packages` of the constants as pip requirements (`requirements`) and as names that may not exist for pip (`lenient`)."""
    packages = specs.get("packages", "")
    if packages == "requirements.txt":
        from swebench.harness.test_spec import python

        return {"requirements": python.clean_requirements(python.get_requirements_by_commit(repo, commit)), "lenient": []}
    if packages == "environment.yml":
        from swebench.harness.test_spec import python

        text = python.clean_environment_yml(python.get_environment_yml_by_commit(repo, commit, "testbed"))
        return {"requirements": "", "lenient": from_environment_yml(text)}
    return {"requirements": "\n".join(as_pip(shlex.split(packages))), "lenient": []}


def from_environment_yml(text):
    """The entries of `dependencies`, those of its `pip` part included. A reader for the plain lists that such files are."""
    listed, within = [], False
    for line in text.split("\n"):
        bare = re.sub(r"(^|\s)#.*", "", line).rstrip()
        if re.match(r"^\S", bare) and not bare.startswith("-"):
            within = bare.startswith("dependencies:")
            continue
        entry = re.match(r"^\s*-\s+(.+?)\s*$", bare)
        if within and entry and not entry.group(1).endswith(":"):
            listed.append(entry.group(1).strip("\"'"))
    return as_pip(listed)


def as_pip(specs):
    """conda's spelling of a requirement to pip's: `name=1.2` means `name==1.2.*`."""
    found, skip = [], False
    for spec in specs:
        if skip or spec in ("-c", "--channel"):
            skip = not skip
            continue
        name = re.split(r"[<>=!~ \[]", spec, maxsplit=1)[0].lower()
        if spec.startswith("-") or name in ("python", "pip", "nomkl"):
            continue
        single = re.match(r"^([\w.-]+)\s*=\s*([\d.]+)(?:=\S+)?$", spec)
        found.append(f"{single.group(1)}=={single.group(2)}.*" if single else spec)
    return found


def as_lines(value):
    return [value] if isinstance(value, str) else list(value)


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:]) if len(sys.argv) > 2 else pythons(sys.argv[1])))
