"""The fake server as an adapter's author uses it. The suites of test/e2e hold it to the real one."""

import asyncio

import pytest

import sandlot
import sandlot.sync
from sandlot.testing import FakeServer, FakeTask, Shell

ANSWER = FakeTask(
    "answer", {"answer.txt": "?\n"}, instruction="42, please.", solves=lambda files: files["answer.txt"] == "42\n"
)


def test_a_task_is_solved_when_its_author_says_so():
    with FakeServer([ANSWER]) as server, sandlot.sync.connect(server.address) as client:
        assert [task.id for task in client.tasks()] == ["answer"]
        for text, reward, outcome in (("42", 1, "RESOLVED"), ("41", 0, "UNRESOLVED"), ("?", 0, "EMPTY_PATCH")):
            with client.trajectory("answer") as t:
                assert t.messages == [{"role": "user", "content": "42, please."}]
                assert t.bash(f"echo '{text}' > answer.txt").exit_code == 0
                result = t.execute("submit_solution", "{}")
                assert (result.terminated, result.grade.reward, result.grade.outcome) == (True, reward, outcome)
                assert (b"+42" in result.grade.patch) == (reward == 1)
        assert server.leftovers() == {"sandboxes": []}


def test_commands_that_its_shell_lacks_are_given():
    def pytest_command(shell: Shell, argv: list[str], stdin: bytes) -> tuple[int, str]:
        failed = shell.files["/testbed/answer.txt"] != b"42\n"
        return int(failed), f"{argv[1:]} {'1 failed' if failed else '1 passed'}\n"

    with FakeServer([ANSWER], commands={"pytest": pytest_command}) as server:
        with sandlot.sync.connect(server.address) as client, client.trajectory("answer") as t:
            assert (t.bash("pytest -q").exit_code, t.bash("pytest -q").text) == (1, "['-q'] 1 failed\n")
            assert t.bash("echo 42 > answer.txt && pytest -q").exit_code == 0
            unknown = t.bash("nonsense")
            assert (unknown.exit_code, unknown.text) == (127, "bash: line 1: nonsense: command not found\n")


async def test_a_server_lives_beside_a_loop_and_ends_with_it():
    with FakeServer([ANSWER], sandbox_service=False) as server:
        async with sandlot.connect(server.address) as client:
            assert not (await client.info()).sandbox_service
            with pytest.raises(sandlot.UnsupportedError):
                await client.sandbox("answer").open()
            with pytest.raises(sandlot.NotFoundError):
                await client.trajectory("other").open()
    with pytest.raises(sandlot.ConnectionLost):
        await sandlot.connect(server.address, patience=0.2).__aenter__()


@pytest.mark.parametrize(
    ("line", "code", "out"),
    [
        ("echo a; echo b", 0, "a\nb\n"),
        ("false && echo a || echo b", 0, "b\n"),
        ("true || echo a; false", 1, ""),
        ("echo one > f; echo two >> f; cat < f | wc -l", 0, "2\n"),
        ("A=1; export B='two words'; echo $A ${B} $C.", 0, "1 two words .\n"),
        ("cd /nowhere; pwd", 0, "/testbed\n"),
        ("mkdir -p a/b; echo x > a/b/c; cd a; ls; cat b/c; cat ../a/b/../b/c", 0, "b\nx\nx\n"),
        ("echo gone; exit 3; echo never", 3, "gone\n"),
        ("(sleep 1000 &) ; echo at once", 0, "at once\n"),
        ("echo to stderr >&2", 0, ""),
        ("bash -c 'echo inner; exit 4'", 4, "inner\n"),
        ("echo 'open", 2, ""),
        ("cat missing", 1, ""),
        ("", 0, ""),
    ],
)
def test_its_shell_does_what_a_shell_does(line: str, code: int, out: str):
    heard: list[bytes] = []
    shell = Shell({}, "/testbed", output=lambda stream, data: heard.append(data) if stream == "stdout" else None)
    assert asyncio.run(shell.run(line)) == code
    assert b"".join(heard).decode() == out
