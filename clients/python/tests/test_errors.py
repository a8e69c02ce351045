"""Errors are typed by whose fault they are, and survive a process boundary."""

import pickle

import pytest
from fake import Fake, bare, fault, trajectory

import sandlot
from sandlot._gen import grade_pb2, trajectory_pb2

FAULTS = [
    ("invalid", "INVALID_ARGUMENT", sandlot.InvalidError),
    ("not_found", "NOT_FOUND", sandlot.NotFoundError),
    ("ended", "FAILED_PRECONDITION", sandlot.EndedError),
    ("out_of_order", "FAILED_PRECONDITION", sandlot.OutOfOrderError),
    ("unsupported", "UNIMPLEMENTED", sandlot.UnsupportedError),
    ("sandbox", "ABORTED", sandlot.SandboxFault),
    ("task", "ABORTED", sandlot.TaskFault),
    ("unauthenticated", "UNAUTHENTICATED", sandlot.UnauthenticatedError),
    ("forbidden", "PERMISSION_DENIED", sandlot.ForbiddenError),
]


@pytest.mark.parametrize(("reason", "code", "kind"), FAULTS)
async def test_the_reason_on_the_wire_decides_the_class_and_it_is_not_tried_again(fake: Fake, reason, code, kind):
    fake.on("Execute", fault(reason, code, field="tool", knob="limits.max_steps", trajectory_id="t1"))
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        with pytest.raises(kind) as caught:
            await t.bash("ls")
    error = caught.value
    assert (error.fault, error.field, error.knob, error.trajectory_id) == (reason, "tool", "limits.max_steps", "t1")
    assert str(error) == f"words about {reason}"
    assert len(fake.requests["Execute"]) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("INTERNAL", sandlot.InternalError),
        ("UNKNOWN", sandlot.InternalError),
        ("RESOURCE_EXHAUSTED", sandlot.InvalidError),
        ("UNIMPLEMENTED", sandlot.UnsupportedError),
    ],
)
async def test_an_error_without_details_is_typed_by_its_status(fake: Fake, code, kind):
    fake.on("Execute", bare(code, "internal error"))
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        with pytest.raises(kind):
            await t.bash("ls")
    assert len(fake.requests["Execute"]) == 1


async def test_ended_brings_the_summary_with_its_grade_and_pickles(fake: Fake):
    over = trajectory("a")
    over.state, over.ending = trajectory_pb2.STATE_ENDED, trajectory_pb2.ENDING_LEASE
    over.grade.reward, over.grade.validity = 0, grade_pb2.VALIDITY_VALID
    ended = fault("ended", "FAILED_PRECONDITION", trajectory_pb2.TrajectoryEnded(trajectory=over))
    fake.on("Execute", ended)
    async with sandlot.connect(fake.address) as client, client.trajectory("task") as t:
        with pytest.raises(sandlot.EndedError) as caught:
            await t.bash("ls")
    error = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(error, sandlot.EndedError)
    assert (error.trajectory.state, error.trajectory.ending, error.trajectory.grade.reward) == ("ENDED", "LEASE", 0.0)


async def test_a_word_that_the_server_does_not_know_is_refused_before_the_wire(fake: Fake):
    async with sandlot.connect(fake.address) as client:
        with pytest.raises(sandlot.InvalidError, match="max_steps"):
            client.trajectory("task", limits={"max_step": 3})
        with pytest.raises(sandlot.InvalidError, match="verdict"):
            client.trajectory("task", submit_feedback="all")


@pytest.mark.parametrize(
    "address",
    ["localhost", "localhost:", "127.0.0.1:0", "127.0.0.1:70000", "host:50051/", " host:50051", "a b:1", "::1:50051", "", None],
)
async def test_an_address_without_host_and_port_is_refused_at_once_and_not_waited_for(address):
    with pytest.raises(sandlot.InvalidError, match="address: expected HOST:PORT or grpcs://HOST:PORT, got"):
        async with sandlot.connect(address, patience=60):
            pass


@pytest.mark.parametrize("token", ["s3cret\n", " s3cret", "s3cr\u00e9t", "s3 cret", 7])
async def test_a_token_that_no_call_can_carry_is_refused_and_not_shown(fake: Fake, token):
    with pytest.raises(sandlot.InvalidError, match="token: expected") as caught:
        async with sandlot.connect(fake.address, token):
            pass
    assert caught.value.field == "token" and "s3" not in str(caught.value)


async def test_addresses_of_every_kind_of_host_are_taken(fake: Fake):
    port = fake.address.rpartition(":")[2]
    for address in (fake.address, f"grpc://127.0.0.1:{port}", f"localhost:{port}", f"[::ffff:127.0.0.1]:{port}"):
        async with sandlot.connect(address, "t0k/en+=._-~", patience=60):
            pass
