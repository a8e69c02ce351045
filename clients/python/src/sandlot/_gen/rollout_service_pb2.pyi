import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from . import grade_pb2 as _grade_pb2
from . import trajectory_pb2 as _trajectory_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Feedback(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FEEDBACK_UNSPECIFIED: _ClassVar[Feedback]
    FEEDBACK_NONE: _ClassVar[Feedback]
    FEEDBACK_VERDICT: _ClassVar[Feedback]
    FEEDBACK_COUNTS: _ClassVar[Feedback]
FEEDBACK_UNSPECIFIED: Feedback
FEEDBACK_NONE: Feedback
FEEDBACK_VERDICT: Feedback
FEEDBACK_COUNTS: Feedback

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetServerInfoResponse(_message.Message):
    __slots__ = ("version", "instance", "backend", "isolated", "default_limits", "pools", "grading", "started_at", "draining", "lease_ms", "tasks", "formats", "sandbox_service", "backends")
    class PoolsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: PoolStatus
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[PoolStatus, _Mapping]] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    ISOLATED_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_LIMITS_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    GRADING_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    TASKS_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_SERVICE_FIELD_NUMBER: _ClassVar[int]
    BACKENDS_FIELD_NUMBER: _ClassVar[int]
    version: str
    instance: str
    backend: str
    isolated: bool
    default_limits: _trajectory_pb2.Limits
    pools: _containers.MessageMap[str, PoolStatus]
    grading: PoolStatus
    started_at: _timestamp_pb2.Timestamp
    draining: bool
    lease_ms: int
    tasks: int
    formats: _containers.RepeatedScalarFieldContainer[str]
    sandbox_service: bool
    backends: _containers.RepeatedCompositeFieldContainer[ServerBackend]
    def __init__(self, version: _Optional[str] = ..., instance: _Optional[str] = ..., backend: _Optional[str] = ..., isolated: _Optional[bool] = ..., default_limits: _Optional[_Union[_trajectory_pb2.Limits, _Mapping]] = ..., pools: _Optional[_Mapping[str, PoolStatus]] = ..., grading: _Optional[_Union[PoolStatus, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., draining: _Optional[bool] = ..., lease_ms: _Optional[int] = ..., tasks: _Optional[int] = ..., formats: _Optional[_Iterable[str]] = ..., sandbox_service: _Optional[bool] = ..., backends: _Optional[_Iterable[_Union[ServerBackend, _Mapping]]] = ...) -> None: ...

class ServerBackend(_message.Message):
    __slots__ = ("name", "type", "isolated", "images", "enforced", "lacks")
    class EnforcedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: _trajectory_pb2.Enforcement
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[_trajectory_pb2.Enforcement, str]] = ...) -> None: ...
    class LacksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ISOLATED_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    ENFORCED_FIELD_NUMBER: _ClassVar[int]
    LACKS_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    isolated: bool
    images: bool
    enforced: _containers.ScalarMap[str, _trajectory_pb2.Enforcement]
    lacks: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., isolated: _Optional[bool] = ..., images: _Optional[bool] = ..., enforced: _Optional[_Mapping[str, _trajectory_pb2.Enforcement]] = ..., lacks: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PoolStatus(_message.Message):
    __slots__ = ("slots", "used", "queued")
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    USED_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    slots: int
    used: int
    queued: int
    def __init__(self, slots: _Optional[int] = ..., used: _Optional[int] = ..., queued: _Optional[int] = ...) -> None: ...

class ListTasksRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: str
    page_size: int
    page_token: str
    def __init__(self, filter: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTasksResponse(_message.Message):
    __slots__ = ("tasks", "next_page_token")
    TASKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tasks: _containers.RepeatedCompositeFieldContainer[Task]
    next_page_token: str
    def __init__(self, tasks: _Optional[_Iterable[_Union[Task, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ("task_id",)
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    def __init__(self, task_id: _Optional[str] = ...) -> None: ...

class Task(_message.Message):
    __slots__ = ("id", "dataset", "repo", "base_commit", "language", "difficulty", "playable", "unplayable_reason", "messages", "tools", "instruction", "workdir", "backend")
    ID_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    REPO_FIELD_NUMBER: _ClassVar[int]
    BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    DIFFICULTY_FIELD_NUMBER: _ClassVar[int]
    PLAYABLE_FIELD_NUMBER: _ClassVar[int]
    UNPLAYABLE_REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    WORKDIR_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    id: str
    dataset: str
    repo: str
    base_commit: str
    language: str
    difficulty: str
    playable: bool
    unplayable_reason: str
    messages: _containers.RepeatedCompositeFieldContainer[_trajectory_pb2.ChatMessage]
    tools: _containers.RepeatedCompositeFieldContainer[_trajectory_pb2.ToolSchema]
    instruction: str
    workdir: str
    backend: str
    def __init__(self, id: _Optional[str] = ..., dataset: _Optional[str] = ..., repo: _Optional[str] = ..., base_commit: _Optional[str] = ..., language: _Optional[str] = ..., difficulty: _Optional[str] = ..., playable: _Optional[bool] = ..., unplayable_reason: _Optional[str] = ..., messages: _Optional[_Iterable[_Union[_trajectory_pb2.ChatMessage, _Mapping]]] = ..., tools: _Optional[_Iterable[_Union[_trajectory_pb2.ToolSchema, _Mapping]]] = ..., instruction: _Optional[str] = ..., workdir: _Optional[str] = ..., backend: _Optional[str] = ...) -> None: ...

class PrepareRequest(_message.Message):
    __slots__ = ("task_ids",)
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class PrepareEvent(_message.Message):
    __slots__ = ("task_id", "stage", "message", "environment_digest", "done", "fault", "prepare_ms")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    FAULT_FIELD_NUMBER: _ClassVar[int]
    PREPARE_MS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    stage: str
    message: str
    environment_digest: str
    done: bool
    fault: str
    prepare_ms: int
    def __init__(self, task_id: _Optional[str] = ..., stage: _Optional[str] = ..., message: _Optional[str] = ..., environment_digest: _Optional[str] = ..., done: _Optional[bool] = ..., fault: _Optional[str] = ..., prepare_ms: _Optional[int] = ...) -> None: ...

class CreateRequest(_message.Message):
    __slots__ = ("attempt_id", "task_id", "sandbox", "pool", "group", "labels", "limits", "lease_ms", "submit_feedback", "tools")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    SUBMIT_FEEDBACK_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    attempt_id: str
    task_id: str
    sandbox: SandboxSpec
    pool: str
    group: _trajectory_pb2.Group
    labels: _containers.ScalarMap[str, str]
    limits: _trajectory_pb2.Limits
    lease_ms: int
    submit_feedback: Feedback
    tools: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, attempt_id: _Optional[str] = ..., task_id: _Optional[str] = ..., sandbox: _Optional[_Union[SandboxSpec, _Mapping]] = ..., pool: _Optional[str] = ..., group: _Optional[_Union[_trajectory_pb2.Group, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., limits: _Optional[_Union[_trajectory_pb2.Limits, _Mapping]] = ..., lease_ms: _Optional[int] = ..., submit_feedback: _Optional[_Union[Feedback, str]] = ..., tools: _Optional[_Iterable[str]] = ...) -> None: ...

class SandboxSpec(_message.Message):
    __slots__ = ("task_id", "image", "workdir", "env")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    WORKDIR_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    image: str
    workdir: str
    env: _containers.ScalarMap[str, str]
    def __init__(self, task_id: _Optional[str] = ..., image: _Optional[str] = ..., workdir: _Optional[str] = ..., env: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ExecuteRequest(_message.Message):
    __slots__ = ("trajectory_id", "call_id", "step", "tool", "arguments_json", "timeout_ms", "from_offset")
    TRAJECTORY_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    FROM_OFFSET_FIELD_NUMBER: _ClassVar[int]
    trajectory_id: str
    call_id: str
    step: int
    tool: str
    arguments_json: str
    timeout_ms: int
    from_offset: int
    def __init__(self, trajectory_id: _Optional[str] = ..., call_id: _Optional[str] = ..., step: _Optional[int] = ..., tool: _Optional[str] = ..., arguments_json: _Optional[str] = ..., timeout_ms: _Optional[int] = ..., from_offset: _Optional[int] = ...) -> None: ...

class ExecuteEvent(_message.Message):
    __slots__ = ("offset", "queued", "stdout", "stderr", "progress", "result")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    offset: int
    queued: Queued
    stdout: bytes
    stderr: bytes
    progress: Progress
    result: _trajectory_pb2.Result
    def __init__(self, offset: _Optional[int] = ..., queued: _Optional[_Union[Queued, _Mapping]] = ..., stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., result: _Optional[_Union[_trajectory_pb2.Result, _Mapping]] = ...) -> None: ...

class Queued(_message.Message):
    __slots__ = ("ahead",)
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    ahead: int
    def __init__(self, ahead: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("running_ms",)
    RUNNING_MS_FIELD_NUMBER: _ClassVar[int]
    running_ms: int
    def __init__(self, running_ms: _Optional[int] = ...) -> None: ...

class StepRequest(_message.Message):
    __slots__ = ("trajectory_id", "call_id", "turn", "calls", "text", "format")
    TRAJECTORY_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    trajectory_id: str
    call_id: str
    turn: int
    calls: ToolCalls
    text: str
    format: str
    def __init__(self, trajectory_id: _Optional[str] = ..., call_id: _Optional[str] = ..., turn: _Optional[int] = ..., calls: _Optional[_Union[ToolCalls, _Mapping]] = ..., text: _Optional[str] = ..., format: _Optional[str] = ...) -> None: ...

class ToolCalls(_message.Message):
    __slots__ = ("calls",)
    CALLS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[ToolCall]
    def __init__(self, calls: _Optional[_Iterable[_Union[ToolCall, _Mapping]]] = ...) -> None: ...

class ToolCall(_message.Message):
    __slots__ = ("id", "name", "arguments_json")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_JSON_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    arguments_json: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., arguments_json: _Optional[str] = ...) -> None: ...

class InterruptRequest(_message.Message):
    __slots__ = ("trajectory_id", "call_id")
    TRAJECTORY_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    trajectory_id: str
    call_id: str
    def __init__(self, trajectory_id: _Optional[str] = ..., call_id: _Optional[str] = ...) -> None: ...

class GradeRequest(_message.Message):
    __slots__ = ("trajectory_id", "submission", "finalize", "call_id")
    TRAJECTORY_ID_FIELD_NUMBER: _ClassVar[int]
    SUBMISSION_FIELD_NUMBER: _ClassVar[int]
    FINALIZE_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    trajectory_id: str
    submission: Submission
    finalize: bool
    call_id: str
    def __init__(self, trajectory_id: _Optional[str] = ..., submission: _Optional[_Union[Submission, _Mapping]] = ..., finalize: _Optional[bool] = ..., call_id: _Optional[str] = ...) -> None: ...

class Submission(_message.Message):
    __slots__ = ("task_id", "patch", "grade_ms")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    GRADE_MS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    patch: bytes
    grade_ms: int
    def __init__(self, task_id: _Optional[str] = ..., patch: _Optional[bytes] = ..., grade_ms: _Optional[int] = ...) -> None: ...

class ReleaseRequest(_message.Message):
    __slots__ = ("trajectory_ids", "labels", "attempt_ids")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TRAJECTORY_IDS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_IDS_FIELD_NUMBER: _ClassVar[int]
    trajectory_ids: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    attempt_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, trajectory_ids: _Optional[_Iterable[str]] = ..., labels: _Optional[_Mapping[str, str]] = ..., attempt_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class ReleaseResponse(_message.Message):
    __slots__ = ("trajectories", "unknown", "cancelled_creates")
    TRAJECTORIES_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_CREATES_FIELD_NUMBER: _ClassVar[int]
    trajectories: _containers.RepeatedCompositeFieldContainer[_trajectory_pb2.Trajectory]
    unknown: _containers.RepeatedScalarFieldContainer[str]
    cancelled_creates: int
    def __init__(self, trajectories: _Optional[_Iterable[_Union[_trajectory_pb2.Trajectory, _Mapping]]] = ..., unknown: _Optional[_Iterable[str]] = ..., cancelled_creates: _Optional[int] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ("trajectory_ids", "lease_ms")
    TRAJECTORY_IDS_FIELD_NUMBER: _ClassVar[int]
    LEASE_MS_FIELD_NUMBER: _ClassVar[int]
    trajectory_ids: _containers.RepeatedScalarFieldContainer[str]
    lease_ms: int
    def __init__(self, trajectory_ids: _Optional[_Iterable[str]] = ..., lease_ms: _Optional[int] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ("alive", "gone")
    ALIVE_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    alive: _containers.RepeatedCompositeFieldContainer[Alive]
    gone: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, alive: _Optional[_Iterable[_Union[Alive, _Mapping]]] = ..., gone: _Optional[_Iterable[str]] = ...) -> None: ...

class Alive(_message.Message):
    __slots__ = ("trajectory_id", "lease_until", "state")
    TRAJECTORY_ID_FIELD_NUMBER: _ClassVar[int]
    LEASE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    trajectory_id: str
    lease_until: _timestamp_pb2.Timestamp
    state: _trajectory_pb2.State
    def __init__(self, trajectory_id: _Optional[str] = ..., lease_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[_trajectory_pb2.State, str]] = ...) -> None: ...

class GetTrajectoryRequest(_message.Message):
    __slots__ = ("trajectory_id",)
    TRAJECTORY_ID_FIELD_NUMBER: _ClassVar[int]
    trajectory_id: str
    def __init__(self, trajectory_id: _Optional[str] = ...) -> None: ...

class ListTrajectoriesRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: str
    page_size: int
    page_token: str
    def __init__(self, filter: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListTrajectoriesResponse(_message.Message):
    __slots__ = ("trajectories", "next_page_token")
    TRAJECTORIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    trajectories: _containers.RepeatedCompositeFieldContainer[_trajectory_pb2.Trajectory]
    next_page_token: str
    def __init__(self, trajectories: _Optional[_Iterable[_Union[_trajectory_pb2.Trajectory, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetRecordRequest(_message.Message):
    __slots__ = ("trajectory_id",)
    TRAJECTORY_ID_FIELD_NUMBER: _ClassVar[int]
    trajectory_id: str
    def __init__(self, trajectory_id: _Optional[str] = ...) -> None: ...

class RecordLine(_message.Message):
    __slots__ = ("index", "json")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    index: int
    json: str
    def __init__(self, index: _Optional[int] = ..., json: _Optional[str] = ...) -> None: ...
