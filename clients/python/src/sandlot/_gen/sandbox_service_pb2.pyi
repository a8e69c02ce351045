from . import rollout_service_pb2 as _rollout_service_pb2
from . import trajectory_pb2 as _trajectory_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FileType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_TYPE_UNSPECIFIED: _ClassVar[FileType]
    FILE_TYPE_FILE: _ClassVar[FileType]
    FILE_TYPE_DIRECTORY: _ClassVar[FileType]
    FILE_TYPE_OTHER: _ClassVar[FileType]
    FILE_TYPE_MISSING: _ClassVar[FileType]
    FILE_TYPE_DENIED: _ClassVar[FileType]
FILE_TYPE_UNSPECIFIED: FileType
FILE_TYPE_FILE: FileType
FILE_TYPE_DIRECTORY: FileType
FILE_TYPE_OTHER: FileType
FILE_TYPE_MISSING: FileType
FILE_TYPE_DENIED: FileType

class ExecRequest(_message.Message):
    __slots__ = ("trajectory_id", "call_id", "argv", "env", "workdir", "stdin", "timeout_ms", "no_output_ms", "keep_bytes", "from_offset")
    class EnvEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TRAJECTORY_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    ARGV_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    WORKDIR_FIELD_NUMBER: _ClassVar[int]
    STDIN_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    NO_OUTPUT_MS_FIELD_NUMBER: _ClassVar[int]
    KEEP_BYTES_FIELD_NUMBER: _ClassVar[int]
    FROM_OFFSET_FIELD_NUMBER: _ClassVar[int]
    trajectory_id: str
    call_id: str
    argv: _containers.RepeatedScalarFieldContainer[str]
    env: _containers.ScalarMap[str, str]
    workdir: str
    stdin: bytes
    timeout_ms: int
    no_output_ms: int
    keep_bytes: int
    from_offset: int
    def __init__(self, trajectory_id: _Optional[str] = ..., call_id: _Optional[str] = ..., argv: _Optional[_Iterable[str]] = ..., env: _Optional[_Mapping[str, str]] = ..., workdir: _Optional[str] = ..., stdin: _Optional[bytes] = ..., timeout_ms: _Optional[int] = ..., no_output_ms: _Optional[int] = ..., keep_bytes: _Optional[int] = ..., from_offset: _Optional[int] = ...) -> None: ...

class ExecEvent(_message.Message):
    __slots__ = ("offset", "stdout", "stderr", "progress", "result")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    offset: int
    stdout: bytes
    stderr: bytes
    progress: _rollout_service_pb2.Progress
    result: ExecResult
    def __init__(self, offset: _Optional[int] = ..., stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ..., progress: _Optional[_Union[_rollout_service_pb2.Progress, _Mapping]] = ..., result: _Optional[_Union[ExecResult, _Mapping]] = ...) -> None: ...

class ExecResult(_message.Message):
    __slots__ = ("exit_code", "signal", "kind", "output_bytes", "output_truncated", "oom_kills", "duration_ms", "timeout_ms", "note", "replayed")
    EXIT_CODE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    OOM_KILLS_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    exit_code: int
    signal: int
    kind: _trajectory_pb2.ResultKind
    output_bytes: int
    output_truncated: bool
    oom_kills: int
    duration_ms: int
    timeout_ms: int
    note: str
    replayed: bool
    def __init__(self, exit_code: _Optional[int] = ..., signal: _Optional[int] = ..., kind: _Optional[_Union[_trajectory_pb2.ResultKind, str]] = ..., output_bytes: _Optional[int] = ..., output_truncated: _Optional[bool] = ..., oom_kills: _Optional[int] = ..., duration_ms: _Optional[int] = ..., timeout_ms: _Optional[int] = ..., note: _Optional[str] = ..., replayed: _Optional[bool] = ...) -> None: ...

class ReadFileRequest(_message.Message):
    __slots__ = ("trajectory_id", "path", "offset", "max_bytes")
    TRAJECTORY_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    MAX_BYTES_FIELD_NUMBER: _ClassVar[int]
    trajectory_id: str
    path: str
    offset: int
    max_bytes: int
    def __init__(self, trajectory_id: _Optional[str] = ..., path: _Optional[str] = ..., offset: _Optional[int] = ..., max_bytes: _Optional[int] = ...) -> None: ...

class FileChunk(_message.Message):
    __slots__ = ("trajectory_id", "call_id", "path", "mode", "data", "offset", "size_bytes", "type")
    TRAJECTORY_ID_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    trajectory_id: str
    call_id: str
    path: str
    mode: int
    data: bytes
    offset: int
    size_bytes: int
    type: FileType
    def __init__(self, trajectory_id: _Optional[str] = ..., call_id: _Optional[str] = ..., path: _Optional[str] = ..., mode: _Optional[int] = ..., data: _Optional[bytes] = ..., offset: _Optional[int] = ..., size_bytes: _Optional[int] = ..., type: _Optional[_Union[FileType, str]] = ...) -> None: ...

class WriteFileResponse(_message.Message):
    __slots__ = ("failure", "replayed")
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    failure: str
    replayed: bool
    def __init__(self, failure: _Optional[str] = ..., replayed: _Optional[bool] = ...) -> None: ...
