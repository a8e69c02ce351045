"""The ordinary path: play a task with its tools, get a reward that is right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
import sandlot
from bundled import GOLD_OF_OWN, IDS, Answers, applied, task_file
from raw import TASK, stub
from sandlot._gen import rollout_service_pb2 as pb
from server import Server, Serving

ANSWERS = Answers.of(TASK)
TICKS_ON = "before=$(wc -l < /tmp/ticks); until [ $(wc -l < /tmp/ticks) -gt $before ]; do sleep 0.02; done"


@pytest.mark.parametrize("task_id", IDS)
def test_right_is_worth_1_and_untouched_or_wrong_is_worth_0(shared: Server, task_id: str) -> None:
    answers = Answers.of(task_id)

    async def play(client: sandlot.Client, patch: str) -> sandlot.Grade:
        async with client.trajectory(task_id) as t:
            if patch:
                assert (await t.bash(applied(patch))).exit_code == 0
            done = await t.execute("submit_solution", {})
            assert (done.kind, done.terminated, done.truncated) == ("DONE", True, False)
            assert done.grade and done.grade == await t.submit(), "a second submission is the same grade"
            return done.grade

    async def all_of_them() -> dict[str, sandlot.Grade]:
        patches = {"gold": answers.gold, "untouched": "", **answers.wrong}
        async with sandlot.connect(shared.address) as client:
            return dict(zip(patches, await asyncio.gather(*(play(client, patch) for patch in patches.values()))))

    grades = asyncio.run(all_of_them())
    gold = grades.pop("gold")
    assert (gold.reward, gold.validity, gold.outcome, gold.submitted, gold.assurance) == (1.0, "VALID", "RESOLVED", True, "RULE_ONLY")
    assert gold.tests["FAIL_TO_PASS"].failed == gold.tests["PASS_TO_PASS"].failed == 0
    assert gold.tests["FAIL_TO_PASS"].passed == len(answers.fail_to_pass)
    assert all([gold.provenance.environment_digest, gold.provenance.seal, gold.provenance.patch_sha256, gold.provenance.log_sha256])
    untouched = grades.pop("untouched")
    assert (untouched.reward, untouched.validity, untouched.outcome) == (0.0, "VALID", "EMPTY_PATCH")
    for name, grade in grades.items():
        assert (grade.reward, grade.validity, grade.outcome) == (0.0, "VALID", "UNRESOLVED"), f"{name}: {grade.reason}"


def test_a_bare_patch_is_judged_without_a_trajectory(shared: Server) -> None:
    async def judge() -> list[sandlot.Grade]:
        async with sandlot.connect(shared.address) as client:
            patches = [ANSWERS.gold, ANSWERS.gold.encode(), "", "this is no patch\n", next(iter(ANSWERS.wrong.values()))]
            return await asyncio.gather(*(client.grade_patch(TASK, patch) for patch in patches))

    grades = asyncio.run(judge())
    assert [(grade.reward, grade.outcome) for grade in grades] == [
        (1.0, "RESOLVED"),
        (1.0, "RESOLVED"),
        (0.0, "EMPTY_PATCH"),
        (0.0, "PATCH_DOES_NOT_APPLY"),
        (0.0, "UNRESOLVED"),
    ]
    assert {grade.validity for grade in grades} == {"VALID"}


def test_a_look_at_the_work_tree_disturbs_nothing(shared: Server) -> None:
    survey = "pwd; echo $COLOUR; git status --short; ls -la --full-time; jobs; ls /tmp; cat /tmp/ticks | tail -1 | wc -c"

    async def play() -> None:
        async with sandlot.connect(shared.address) as client, client.trajectory(TASK) as t:
            await t.bash(f"{applied(ANSWERS.gold)}; git add .; cd spans; export COLOUR=red; (while sleep 0.02; do echo t >> /tmp/ticks; done) & until [ -s /tmp/ticks ]; do sleep 0.02; done")
            before = await t.bash(survey)
            look = await t.grade()
            assert (look.reward, look.outcome, look.submitted) == (1.0, "RESOLVED", False)
            after = await t.bash(survey)
            assert after.text == before.text
            assert after.step == before.step + 1, "a look is no step"
            assert (await t.bash(TICKS_ON)).kind == "OK", "what ran in the background goes on"
            await t.bash("git -C /testbed checkout -q HEAD -- . ; git -C /testbed reset -q --hard")
            assert (await t.grade()).outcome == "EMPTY_PATCH"
            assert (await client.get_trajectory(t.id)).state == "ACTIVE"

    asyncio.run(play())


@pytest.mark.parametrize(("word", "expected"), [("none", ""), ("verdict", "Resolved."), ("counts", "FAIL_TO_PASS: 4 passed")])
def test_the_policy_is_told_of_its_verdict_as_much_as_the_trainer_wants(shared: Server, word: str, expected: str) -> None:
    async def play() -> str:
        async with sandlot.connect(shared.address) as client, client.trajectory(TASK, submit_feedback=word) as t:
            await t.bash(applied(ANSWERS.gold))
            return (await t.execute("submit_solution", {})).text

    text = asyncio.run(play())
    assert expected in text
    assert ("Resolved" in text) == (word != "none")


def test_a_turn_runs_its_calls_in_order_and_none_after_the_one_that_ended_the_task(shared: Server) -> None:
    async def play() -> None:
        async with sandlot.connect(shared.address) as client, client.trajectory(TASK) as t:
            first = await t.step([{"id": "a", "name": "bash", "arguments": {"command": "cd spans; echo one"}}, {"id": "b", "function": {"name": "bash", "arguments": '{"command": "pwd; false"}'}}])
            assert [message["content"] for message in first.observations] == ["one\n", "/testbed/spans\n[exit code 1]"]
            assert [(message["role"], message["tool_call_id"], message["name"]) for message in first.observations] == [("tool", "a", "bash"), ("tool", "b", "bash")]
            assert [result.step for result in first.results] == [1, 2]
            assert (first.turn, first.terminated, first.truncated, first.reward) == (1, False, False, None)
            nothing = await t.step([])
            assert (nothing.turn, nothing.observations, nothing.results) == (2, [], [])
            mistaken = await t.step([{"id": "x", "name": "no_such_tool", "arguments": "{}"}, {"id": "y", "name": "bash", "arguments": "not json"}])
            assert [result.kind for result in mistaken.results] == ["TOOL_ERROR", "TOOL_ERROR"]
            last = await t.step([{"id": "s", "name": "submit_solution", "arguments": ""}, {"id": "z", "name": "bash", "arguments": {"command": "echo x > /tmp/x"}}])
            assert (last.terminated, last.reward, len(last.results)) == (True, 0.0, 1)
            assert last.grade and last.grade.outcome == "EMPTY_PATCH"
            late = await t.step([{"id": "l", "name": "bash", "arguments": {"command": "echo late"}}])
            assert late.terminated and late.grade == last.grade and len(late.observations) == 1
            assert [message["role"] for message in (await t.step([])).observations] == ["user"]

    asyncio.run(play())


def test_a_turn_reads_its_calls_from_the_text_of_a_message(anyone: Serving) -> None:
    async def play() -> None:
        async with sandlot.connect(anyone.address) as client, client.trajectory(TASK) as t:
            assert "hermes" in (await client.info()).formats
            said = 'I look.\n<tool_call>\n{"name": "bash", "arguments": {"command": "pwd"}}\n</tool_call>'
            first = await t.step(said, format="hermes", call_id="one")
            assert [(message["role"], message["content"]) for message in first.observations] == [("tool", "/testbed\n")]
            assert (first.parse_error, len(first.results)) == ("", 1)
            assert (await t.step(said, format="hermes", call_id="one")).replayed
            with pytest.raises(sandlot.InvalidError, match="other arguments"):
                await t.step("no call", format="hermes", call_id="one")
            broken = await t.step("<tool_call>{</tool_call>", format="hermes")
            assert (broken.turn, broken.results) == (2, []) and "not JSON" in broken.parse_error
            assert broken.observations == [{"role": "user", "content": broken.parse_error}]
            thought = await t.step(f"<think>{said}", format="hermes")
            assert (thought.turn, thought.results) == (3, []) and "reasoning" in thought.parse_error
            silent = await t.step(f"<think>{said}</think> I am done.", format="hermes")
            assert (silent.turn, silent.results, silent.observations, silent.parse_error) == (4, [], [], "")
            with pytest.raises(sandlot.InvalidError, match="expected one of hermes, .*got 'hermess'|expected one of hermes") as refused:
                await t.step("", format="hermess")
            assert refused.value.field == "format"
            over = await t.step('<tool_call>{"name": "submit_solution"}</tool_call>', format="hermes")
            assert (over.terminated, over.reward) == (True, 0.0)
            late = await t.step("no call", format="hermes")
            assert late.terminated and late.observations[0]["role"] == "user"

    asyncio.run(play())


def test_formats_other_than_hermes_are_read_too(shared: Server) -> None:
    async def play() -> None:
        async with sandlot.connect(shared.address) as client, client.trajectory(TASK) as t:
            said = '<tool_call>{"name": "bash", "arguments": {"command": "pwd"}}</tool_call>'
            await t.step(said, format="hermes", call_id="one")
            with pytest.raises(sandlot.InvalidError, match="other arguments"):
                await t.step(said, format="glm", call_id="one")
            xml = "<function=bash>\n<parameter=command>\necho x > new.txt; ls new.txt\n</parameter>\n</function>"
            assert (await t.step(xml, format="qwen3_coder")).observations[0]["content"] == "new.txt\n"
            over = await t.step("```bash\necho COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT\n```", format="mini-swe-agent")
            assert (over.terminated, over.reward) == (True, 0.0)

    asyncio.run(play())


def test_the_editor_views_and_changes_files_and_takes_the_last_change_back(anyone: Serving) -> None:
    async def play() -> None:
        async with sandlot.connect(anyone.address) as client, client.trajectory(TASK) as t:

            async def edit(command: str, path: str = "/testbed/notes.txt", **arguments: object) -> tuple[str, str]:
                result = await t.execute("str_replace_editor", {"command": command, "path": path, **arguments})
                return result.kind, result.text

            async def content() -> str:
                return (await t.bash("cat notes.txt")).text

            assert (await edit("view"))[0] == "TOOL_ERROR"
            assert await edit("create", file_text="one\ntwo\ntwo\n") == ("OK", "File created successfully at: /testbed/notes.txt\n")
            assert (await edit("create", file_text="other"))[0] == "TOOL_ERROR"
            kind, text = await edit("view", view_range="[1, 2]")
            assert kind == "OK" and "     1\tone\n     2\ttwo\n" in text and "     3\t" not in text
            for wanted in ("two", "three", ""):
                kind, text = await edit("str_replace", old_str=wanted, new_str="x")
                assert kind == "TOOL_ERROR" and "old_str" in text
            kind, text = await edit("str_replace", old_str="one\n", new_str="ein\n")
            assert kind == "OK" and "     1\tein\n" in text and await content() == "ein\ntwo\ntwo\n"
            assert (await edit("insert", insert_line=1, new_str="und"))[0] == "OK" and await content() == "ein\nund\ntwo\ntwo\n"
            assert (await edit("insert", insert_line=9, new_str="und"))[0] == "TOOL_ERROR"
            assert (await edit("undo_edit"))[0] == "OK" and await content() == "ein\ntwo\ntwo\n"
            assert (await edit("undo_edit"))[0] == "OK" and await content() == "one\ntwo\ntwo\n"
            assert (await edit("undo_edit"))[0] == "OK" and (await t.bash("cat notes.txt")).exit_code == 1
            assert (await edit("undo_edit"))[0] == "TOOL_ERROR"
            kind, text = await edit("view", "/testbed")
            assert kind == "OK" and "/testbed/README.md" in text
            assert (await edit("str_replace", "/testbed", old_str="a", new_str="b"))[0] == "TOOL_ERROR"

    asyncio.run(play())


@pytest.fixture
def own_task(own: Server) -> Iterator[Server]:
    """A server with one task of each way to give feedback."""
    own.folder.mkdir(parents=True, exist_ok=True)
    for feedback in ("reminder", "visible_tests"):
        agent = {"feedback": feedback, "visibleTestCommand": 'test "$(python3 -c "import sums; print(sums.double(2))")" = 4 && echo fine'}
        own.tasks.append(task_file(own.folder, f"own-{feedback}", agent=agent))
    yield own.start()


def test_after_a_turn_comes_what_the_task_wants_the_policy_to_know(own_task: Server) -> None:
    async def play() -> None:
        async with sandlot.connect(own_task.address) as client:
            async with client.trajectory("own-reminder") as t:
                said = (await t.step([])).observations
                assert [message["role"] for message in said] == ["user"] and "did not call a tool" in said[0]["content"]
                assert len((await t.step([{"id": "1", "name": "bash", "arguments": {"command": "true"}}])).observations) == 1
            async with client.trajectory("own-visible_tests") as t:
                wrong = (await t.step([{"id": "1", "name": "bash", "arguments": {"command": "true"}}])).observations[-1]
                right = (await t.step([{"id": "1", "name": "bash", "arguments": {"command": GOLD_OF_OWN}}])).observations[-1]
                assert wrong["role"] == right["role"] == "user"
                assert "failed" in wrong["content"] and "passed" in right["content"] and "fine" in right["content"]
                assert (await t.submit()).reward == 1.0

    asyncio.run(play())


def test_the_editor_views_creates_replaces_inserts_and_takes_back(shared: Server) -> None:
    async def play() -> None:
        async with sandlot.connect(shared.address) as client, client.trajectory(TASK) as t:

            async def edit(command: str, path: str = "/testbed/new/notes.txt", **arguments: object) -> sandlot.Result:
                return await t.execute("str_replace_editor", {"command": command, "path": path, **arguments})

            assert "File created" in (await edit("create", file_text="one\ntwo\ntwo\n")).text
            assert (await edit("create", file_text="x")).kind == "TOOL_ERROR"
            assert "Multiple occurrences" in (await edit("str_replace", old_str="two", new_str="three")).text
            assert "did not appear" in (await edit("str_replace", old_str="four", new_str="three")).text
            assert "zero" in (await edit("insert", insert_line=0, new_str="zero")).text
            assert "three" in (await edit("str_replace", old_str="one\ntwo", new_str="one\nthree")).text
            assert "     2\tone" in (await edit("view", view_range="[2, 3]")).text
            assert (await t.bash("cat new/notes.txt")).text == "zero\none\nthree\ntwo\n"
            for expected in ("zero\none\ntwo\ntwo\n", "one\ntwo\ntwo\n"):
                await edit("undo_edit")
                assert (await t.bash("cat new/notes.txt")).text == expected
            assert "removed" in (await edit("undo_edit")).text
            assert "No edit history" in (await edit("undo_edit")).text
            assert (await t.bash("cat new/notes.txt")).exit_code == 1
            assert "/testbed/spans/spanset.py" in (await edit("view", "/testbed")).text
            assert (await edit("view", "/no/such")).kind == "TOOL_ERROR"

    asyncio.run(play())


def test_bash_keeps_folder_and_exported_variables_and_a_stateless_call_neither_has_nor_changes_them(shared: Server) -> None:
    async def play() -> None:
        async with sandlot.connect(shared.address) as client, client.trajectory(TASK) as t:
            await t.bash("cd /tmp; export A='x y\n$z' B=2; C=3; f() { :; }")
            assert (await t.bash('pwd; echo "$A|$B|$C"; type f')).text.startswith("/tmp\nx y\n$z|2|\n")
            alone = await t.execute("bash", {"command": 'pwd; echo "[$A]"; cd /; export B=9', "stateless": True})
            assert alone.text == "/testbed\n[]\n"
            assert (await t.bash('pwd; echo $B; unset B')).text == "/tmp\n2\n"
            assert (await t.bash('echo "[$B]"; exit 7')).exit_code == 7
            killed = await t.bash("kill -TERM $$; sleep 5")
            assert (killed.exit_code, killed.signal) == (None, 15)
            slow = await t.bash("echo begun; sleep 600; echo never", timeout_ms=3000)
            assert slow.kind == "TIMED_OUT" and slow.text.startswith("begun\n") and "never" not in slow.text
            assert (await t.bash("pwd")).text == "/tmp\n"

    asyncio.run(play())


def test_output_arrives_while_the_command_runs(shared: Server) -> None:
    """It would run for ever: only what came of it makes the client interrupt it."""

    async def play() -> None:
        async with sandlot.connect(shared.address) as client, client.trajectory(TASK) as t:
            seen: set[tuple[str, bytes]] = set()
            async for event in t.execute_stream("bash", {"command": "echo out; echo err >&2; sleep 1000"}, call_id="endless"):
                if event.data:
                    seen.add((event.type, event.data))
                if len(seen) == 2 and event.data:
                    await t.interrupt("another")
                    await t.interrupt("endless")
            assert seen == {("stdout", b"out\n"), ("stderr", b"err\n")}
            assert event.result and event.result.kind == "INTERRUPTED"
            assert sorted(event.result.text.splitlines())[1:] == ["err", "out"]
            assert (await t.bash("echo goes on")).text == "goes on\n"

    asyncio.run(play())


def test_a_cut_stream_goes_on_where_it_was_also_when_the_command_is_over(shared: Server) -> None:
    command = {"command": "echo first; sleep 4; echo second >&2"}

    async def play() -> None:
        async with sandlot.connect(shared.address) as client, client.trajectory(TASK) as t, stub(shared) as service:

            async def follow(offset: int) -> tuple[list[tuple[str, bytes]], pb.ExecuteEvent]:
                request = pb.ExecuteRequest(trajectory_id=t.id, call_id="cut", tool="bash", arguments_json=json.dumps(command), from_offset=offset)
                events = [event async for event in service.ExecuteStream(request, timeout=300)]
                return [(event.WhichOneof("event"), event.stdout or event.stderr) for event in events[:-1] if event.stdout or event.stderr], events[-1]

            async for event in t.execute_stream("bash", command, call_id="cut"):
                if event.data:
                    break
            end = event.offset + len(event.data)
            for after in ("running", "over"):
                data, last = await follow(end)
                assert data == [("stderr", b"second\n")], after
                assert (last.result.exit_code, last.result.text, last.offset) == (0, "first\nsecond\n", 13)
                assert last.result.replayed == (after == "over")
            assert (await follow(0))[0] == [("stdout", b"first\n"), ("stderr", b"second\n")]
            assert (await follow(3))[0] == [("stdout", b"st\n"), ("stderr", b"second\n")]
            assert (await follow(10_000))[0] == []
            assert (await t.bash("true")).step == 2, "none of it ran twice"

    asyncio.run(play())


def test_how_much_of_an_output_is_kept_and_spilled_is_a_setting(own: Server) -> None:
    own.config += "output: { kept_bytes: 4096, spill_bytes: 8192 }\n"
    own.start()

    async def play() -> None:
        async with sandlot.connect(own.address) as client, client.trajectory(TASK) as t:
            result = await t.bash("seq 10000")
            assert (result.output_bytes, result.output_truncated) == (48894, True)
            assert result.text.startswith("1\n2\n") and result.text.endswith("10000\n")
            assert f"the first 8192 bytes are in {result.spill_path}" in result.text
            assert (await t.bash(f"wc -c < {result.spill_path}")).text == "8192\n"
            kept = [line async for line in client.record(t.id)]
            output = next(line["output"] for line in kept if line["type"] == "result")
            assert sum(len(text) for _, _, text in output) <= 4096

    asyncio.run(play())


def test_prompt_tools_and_limits_come_with_the_trajectory(shared: Server) -> None:
    async def play() -> None:
        async with sandlot.connect(shared.address) as client:
            listed = [task async for task in client.tasks("language=python", page_size=2)]
            assert [task.id for task in listed] == [name for name in IDS if name.startswith("py-")]
            task = await client.task(TASK)
            async with client.trajectory(TASK, limits={"max_steps": 7}, group=("g", 1), labels={"a": "b"}, tools=["bash"]) as t:
                assert t.messages == task.messages and task.instruction in t.messages[-1]["content"]
                assert [tool["function"]["name"] for tool in t.tools] == ["bash"]
                assert (await t.execute("str_replace_editor", {"command": "view", "path": "/"})).kind == "TOOL_ERROR"
                assert t.limits.max_steps == 7 and t.left.steps == 6 and t.limits.memory_mib == 2048
                assert {"memory_mib", "cpu_milli", "pids", "disk_mib"} <= set(t.limits.enforced)
                assert json.dumps(t.tools)
                assert (t.summary.group, t.summary.labels) == (("g", 1), {"a": "b"})

    asyncio.run(play())
