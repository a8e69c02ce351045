import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from . import grade_pb2 as _grade_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STATE_UNSPECIFIED: _ClassVar[State]
    STATE_QUEUED: _ClassVar[State]
    STATE_PREPARING: _ClassVar[State]
    STATE_ACTIVE: _ClassVar[State]
    STATE_GRADING: _ClassVar[State]
    STATE_SUBMITTED: _ClassVar[State]
    STATE_ENDED: _ClassVar[State]

class Ending(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENDING_UNSPECIFIED: _ClassVar[Ending]
    ENDING_SUBMITTED: _ClassVar[Ending]
    ENDING_RELEASED: _ClassVar[Ending]
    ENDING_LEASE: _ClassVar[Ending]
    ENDING_BUDGET: _ClassVar[Ending]
    ENDING_POLICY_BROKE_SANDBOX: _ClassVar[Ending]
    ENDING_INFRA: _ClassVar[Ending]
    ENDING_TASK: _ClassVar[Ending]

class Enforcement(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENFORCEMENT_UNSPECIFIED: _ClassVar[Enforcement]
    ENFORCEMENT_HARD: _ClassVar[Enforcement]
    ENFORCEMENT_WATCHED: _ClassVar[Enforcement]
    ENFORCEMENT_NONE: _ClassVar[Enforcement]

class ResultKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESULT_KIND_UNSPECIFIED: _ClassVar[ResultKind]
    RESULT_KIND_OK: _ClassVar[ResultKind]
    RESULT_KIND_TOOL_ERROR: _ClassVar[ResultKind]
    RESULT_KIND_TIMED_OUT: _ClassVar[ResultKind]
    RESULT_KIND_INTERRUPTED: _ClassVar[ResultKind]
    RESULT_KIND_DONE: _ClassVar[ResultKind]
    RESULT_KIND_OUT_OF_BUDGET: _ClassVar[ResultKind]
STATE_UNSPECIFIED: State
STATE_QUEUED: State
STATE_PREPARING: State
STATE_ACTIVE: State
STATE_GRADING: State
STATE_SUBMITTED: State
STATE_ENDED: State
ENDING_UNSPECIFIED: Ending
ENDING_SUBMITTED: Ending
ENDING_RELEASED: Ending
ENDING_LEASE: Ending
ENDING_BUDGET: Ending
ENDING_POLICY_BROKE_SANDBOX: Ending
ENDING_INFRA: Ending
ENDING_TASK: Ending
ENFORCEMENT_UNSPECIFIED: Enforcement
ENFORCEMENT_HARD: Enforcement
ENFORCEMENT_WATCHED: Enforcement
ENFORCEMENT_NONE: Enforcement
RESULT_KIND_UNSPECIFIED: ResultKind
RESULT_KIND_OK: ResultKind
RESULT_KIND_TOOL_ERROR: ResultKind
RESULT_KIND_TIMED_OUT: ResultKind
RESULT_KIND_INTERRUPTED: ResultKind
RESULT_KIND_DONE: ResultKind
RESULT_KIND_OUT_OF_BUDGET: ResultKind

class Trajectory(_message.Message):
    __slots__ = ("id", "task_id", "attempt_id", "pool", "group", "labels", "state", "ending", "messages", "tools", "limits", "last_step", "grade", "created_at", "lease_until", "timings", "environment_digest", "record_uri", "workdir", "left", "harness_calls", "bare")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_ID_FIELD_NUMBER: _ClassVar[int]
    POOL_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ENDING_FIELD_NUMBER: _ClassVar[int]
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    LAST_STEP_FIELD_NUMBER: _ClassVar[int]
    GRADE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    LEASE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    ENVIRONMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    RECORD_URI_FIELD_NUMBER: _ClassVar[int]
    WORKDIR_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    HARNESS_CALLS_FIELD_NUMBER: _ClassVar[int]
    BARE_FIELD_NUMBER: _ClassVar[int]
    id: str
    task_id: str
    attempt_id: str
    pool: str
    group: Group
    labels: _containers.ScalarMap[str, str]
    state: State
    ending: Ending
    messages: _containers.RepeatedCompositeFieldContainer[ChatMessage]
    tools: _containers.RepeatedCompositeFieldContainer[ToolSchema]
    limits: Limits
    last_step: int
    grade: _grade_pb2.Grade
    created_at: _timestamp_pb2.Timestamp
    lease_until: _timestamp_pb2.Timestamp
    timings: _grade_pb2.Timings
    environment_digest: str
    record_uri: str
    workdir: str
    left: Budget
    harness_calls: int
    bare: bool
    def __init__(self, id: _Optional[str] = ..., task_id: _Optional[str] = ..., attempt_id: _Optional[str] = ..., pool: _Optional[str] = ..., group: _Optional[_Union[Group, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., state: _Optional[_Union[State, str]] = ..., ending: _Optional[_Union[Ending, str]] = ..., messages: _Optional[_Iterable[_Union[ChatMessage, _Mapping]]] = ..., tools: _Optional[_Iterable[_Union[ToolSchema, _Mapping]]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., last_step: _Optional[int] = ..., grade: _Optional[_Union[_grade_pb2.Grade, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., lease_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., timings: _Optional[_Union[_grade_pb2.Timings, _Mapping]] = ..., environment_digest: _Optional[str] = ..., record_uri: _Optional[str] = ..., workdir: _Optional[str] = ..., left: _Optional[_Union[Budget, _Mapping]] = ..., harness_calls: _Optional[int] = ..., bare: _Optional[bool] = ...) -> None: ...

class Group(_message.Message):
    __slots__ = ("id", "size")
    ID_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    id: str
    size: int
    def __init__(self, id: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class ChatMessage(_message.Message):
    __slots__ = ("role", "content", "tool_call_id", "name")
    ROLE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    TOOL_CALL_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    role: str
    content: str
    tool_call_id: str
    name: str
    def __init__(self, role: _Optional[str] = ..., content: _Optional[str] = ..., tool_call_id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class ToolSchema(_message.Message):
    __slots__ = ("name", "openai_json")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OPENAI_JSON_FIELD_NUMBER: _ClassVar[int]
    name: str
    openai_json: str
    def __init__(self, name: _Optional[str] = ..., openai_json: _Optional[str] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_steps", "max_turns", "wall_ms", "command_ms", "no_output_ms", "output_bytes", "memory_mib", "cpu_milli", "pids", "disk_mib", "grade_ms", "enforced")
    class EnforcedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Enforcement
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Enforcement, str]] = ...) -> None: ...
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    MAX_TURNS_FIELD_NUMBER: _ClassVar[int]
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    COMMAND_MS_FIELD_NUMBER: _ClassVar[int]
    NO_OUTPUT_MS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    MEMORY_MIB_FIELD_NUMBER: _ClassVar[int]
    CPU_MILLI_FIELD_NUMBER: _ClassVar[int]
    PIDS_FIELD_NUMBER: _ClassVar[int]
    DISK_MIB_FIELD_NUMBER: _ClassVar[int]
    GRADE_MS_FIELD_NUMBER: _ClassVar[int]
    ENFORCED_FIELD_NUMBER: _ClassVar[int]
    max_steps: int
    max_turns: int
    wall_ms: int
    command_ms: int
    no_output_ms: int
    output_bytes: int
    memory_mib: int
    cpu_milli: int
    pids: int
    disk_mib: int
    grade_ms: int
    enforced: _containers.ScalarMap[str, Enforcement]
    def __init__(self, max_steps: _Optional[int] = ..., max_turns: _Optional[int] = ..., wall_ms: _Optional[int] = ..., command_ms: _Optional[int] = ..., no_output_ms: _Optional[int] = ..., output_bytes: _Optional[int] = ..., memory_mib: _Optional[int] = ..., cpu_milli: _Optional[int] = ..., pids: _Optional[int] = ..., disk_mib: _Optional[int] = ..., grade_ms: _Optional[int] = ..., enforced: _Optional[_Mapping[str, Enforcement]] = ...) -> None: ...

class Budget(_message.Message):
    __slots__ = ("steps", "turns", "wall_ms")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    TURNS_FIELD_NUMBER: _ClassVar[int]
    WALL_MS_FIELD_NUMBER: _ClassVar[int]
    steps: int
    turns: int
    wall_ms: int
    def __init__(self, steps: _Optional[int] = ..., turns: _Optional[int] = ..., wall_ms: _Optional[int] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("step", "call_id", "text", "kind", "exit_code", "signal", "output_bytes", "output_truncated", "spill_path", "terminated", "truncated", "grade", "left", "timings", "replayed", "oom_kills", "tool", "timeout_ms")
    STEP_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    SPILL_PATH_FIELD_NUMBER: _ClassVar[int]
    TERMINATED_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    GRADE_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    OOM_KILLS_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    step: int
    call_id: str
    text: str
    kind: ResultKind
    exit_code: int
    signal: int
    output_bytes: int
    output_truncated: bool
    spill_path: str
    terminated: bool
    truncated: bool
    grade: _grade_pb2.Grade
    left: Budget
    timings: _grade_pb2.Timings
    replayed: bool
    oom_kills: int
    tool: str
    timeout_ms: int
    def __init__(self, step: _Optional[int] = ..., call_id: _Optional[str] = ..., text: _Optional[str] = ..., kind: _Optional[_Union[ResultKind, str]] = ..., exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., output_bytes: _Optional[int] = ..., output_truncated: _Optional[bool] = ..., spill_path: _Optional[str] = ..., terminated: _Optional[bool] = ..., truncated: _Optional[bool] = ..., grade: _Optional[_Union[_grade_pb2.Grade, _Mapping]] = ..., left: _Optional[_Union[Budget, _Mapping]] = ..., timings: _Optional[_Union[_grade_pb2.Timings, _Mapping]] = ..., replayed: _Optional[bool] = ..., oom_kills: _Optional[int] = ..., tool: _Optional[str] = ..., timeout_ms: _Optional[int] = ...) -> None: ...

class Turn(_message.Message):
    __slots__ = ("turn", "observations", "results", "reward", "terminated", "truncated", "grade", "parse_error", "left", "replayed")
    TURN_FIELD_NUMBER: _ClassVar[int]
    OBSERVATIONS_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    REWARD_FIELD_NUMBER: _ClassVar[int]
    TERMINATED_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    GRADE_FIELD_NUMBER: _ClassVar[int]
    PARSE_ERROR_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    turn: int
    observations: _containers.RepeatedCompositeFieldContainer[ChatMessage]
    results: _containers.RepeatedCompositeFieldContainer[Result]
    reward: float
    terminated: bool
    truncated: bool
    grade: _grade_pb2.Grade
    parse_error: str
    left: Budget
    replayed: bool
    def __init__(self, turn: _Optional[int] = ..., observations: _Optional[_Iterable[_Union[ChatMessage, _Mapping]]] = ..., results: _Optional[_Iterable[_Union[Result, _Mapping]]] = ..., reward: _Optional[float] = ..., terminated: _Optional[bool] = ..., truncated: _Optional[bool] = ..., grade: _Optional[_Union[_grade_pb2.Grade, _Mapping]] = ..., parse_error: _Optional[str] = ..., left: _Optional[_Union[Budget, _Mapping]] = ..., replayed: _Optional[bool] = ...) -> None: ...

class TrajectoryEnded(_message.Message):
    __slots__ = ("trajectory",)
    TRAJECTORY_FIELD_NUMBER: _ClassVar[int]
    trajectory: Trajectory
    def __init__(self, trajectory: _Optional[_Union[Trajectory, _Mapping]] = ...) -> None: ...
