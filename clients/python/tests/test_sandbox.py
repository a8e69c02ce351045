import pytest
from fake import Fake, trajectory

import sandlot
from sandlot._gen import sandbox_service_pb2 as pb

CHUNK = 1000


def printed(*chunks: bytes) -> list[pb.ExecEvent]:
    """What a program prints on its standard output, and its end."""
    at = [sum(map(len, chunks[:number])) for number in range(len(chunks) + 1)]
    events = [pb.ExecEvent(offset=offset, stdout=chunk) for offset, chunk in zip(at, chunks, strict=False)]
    return [*events, pb.ExecEvent(offset=at[-1], result=pb.ExecResult(exit_code=0, kind=1, output_bytes=at[-1]))]


async def test_of_a_program_that_prints_without_end_the_last_bytes_are_held_and_all_are_heard(fake: Fake):
    fake.on("Create", lambda request: trajectory(request.attempt_id))
    chunks = [bytes([65 + number]) * CHUNK for number in range(20)]
    fake.on("Exec", printed(*chunks))
    heard: list[bytes] = []
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        cut = await t.sandbox.exec("yes", max_bytes=1500, on_output=lambda event: heard.append(event.data))
        assert (cut.stdout, cut.truncated, cut.output_bytes) == (b"".join(chunks)[-1500:], True, 20 * CHUNK)
        assert heard == chunks
        for most, truncated in ((20 * CHUNK, False), (20 * CHUNK - 1, True)):
            whole = await t.sandbox.exec("yes", max_bytes=most)
            assert (whole.stdout, whole.truncated) == (b"".join(chunks)[-most:], truncated)
        assert not (await t.sandbox.exec("yes")).truncated
        with pytest.raises(sandlot.InvalidError, match="max_bytes: expected a number from 1 on, got 0"):
            await t.sandbox.exec("yes", max_bytes=0)
