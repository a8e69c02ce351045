"""A record that a server really gives out has what docs/record.md says, at every depth."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import sandlot
from raw import TASK
from server import ROOT, Server


def documented() -> dict[str, list[str]]:
    """Type of line to its dotted names, as the page spells them."""
    sections = (ROOT / "docs/record.md").read_text().split("\n## ")[1:]
    rows = {section.split("\n", 1)[0]: re.findall(r"^\| (`.*?) \|", section, flags=re.M) for section in sections}
    return {name: [found for row in every for found in re.findall(r"`([^`]+)`", row)] for name, every in rows.items()}


def names_in(value: Any, known: set[str], prefix: str = "") -> set[str]:
    """Dotted names of all leaves; of what the page does not look into, the name with a star."""
    if f"{prefix}.*" in known:
        return {f"{prefix}.*"}
    if isinstance(value, dict):
        return set().union(*(names_in(part, known, f"{prefix}.{key}" if prefix else key) for key, part in value.items()))
    if isinstance(value, list) and any(name.startswith(f"{prefix}[].") for name in known):
        return set().union(*(names_in(part, known, f"{prefix}[]") for part in value))
    return {prefix}


def test_every_line_of_a_record_has_what_the_page_says(own: Server) -> None:
    own.config += "sandbox_service: { enabled: true }\n"
    own.start()
    lines: list[dict[str, Any]] = []

    async def play() -> None:
        async with sandlot.connect(own.address) as client:
            async with client.trajectory(TASK, group=("g", 1), labels={"a": "b"}, limits={"max_steps": 9}) as t:
                await t.bash("cd /tmp; seq 100000")
                await t.bash("kill -9 $$")
                await t.step([{"id": "m", "name": "bash", "arguments": {"command": "echo x >> /testbed/README.md"}}])
                await t.step([])
                await t.grade()
                await t.sandbox.exec("exit 3", env={"A": "b"})
                await t.sandbox.exec("sleep 1000", timeout_ms=200)
                await t.sandbox.write_file("/tmp/x", b"", mode=0o600)
                await t.submit()
            async with client.sandbox(TASK, workdir="/tmp", env={"A": "b"}) as bare, client.trajectory(TASK) as unfinished:
                pass
            for one in (t, unfinished, bare):
                lines.extend([line async for line in client.record(one.id)])

    asyncio.run(play())
    page = documented()
    assert {line["type"] for line in lines} == set(page)
    for kind, known in page.items():
        plain = {name.removesuffix("?") for name in known}
        each = [names_in({key: part for key, part in line.items() if key != "type"}, plain) for line in lines if line["type"] == kind]
        assert set().union(*each) <= plain, f"{kind} lines have what the page lacks"
        needed = {name for name in known if not name.endswith("?") and "[]" not in name}
        assert all(needed <= found for found in each), f"{kind} lines lack what the page has"
