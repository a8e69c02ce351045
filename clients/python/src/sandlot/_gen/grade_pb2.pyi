from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Validity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VALIDITY_UNSPECIFIED: _ClassVar[Validity]
    VALIDITY_VALID: _ClassVar[Validity]
    VALIDITY_INFRA: _ClassVar[Validity]
    VALIDITY_TASK: _ClassVar[Validity]
    VALIDITY_FLAKY: _ClassVar[Validity]
    VALIDITY_CANCELLED: _ClassVar[Validity]
    VALIDITY_STRUCTURAL: _ClassVar[Validity]

class Outcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_UNSPECIFIED: _ClassVar[Outcome]
    OUTCOME_RESOLVED: _ClassVar[Outcome]
    OUTCOME_UNRESOLVED: _ClassVar[Outcome]
    OUTCOME_EMPTY_PATCH: _ClassVar[Outcome]
    OUTCOME_PATCH_DOES_NOT_APPLY: _ClassVar[Outcome]
    OUTCOME_TESTS_TIMED_OUT: _ClassVar[Outcome]
    OUTCOME_TAMPERED: _ClassVar[Outcome]
    OUTCOME_POLICY_BROKE_SANDBOX: _ClassVar[Outcome]
    OUTCOME_SUBMISSION_TOO_LARGE: _ClassVar[Outcome]
    OUTCOME_TESTS_DID_NOT_FINISH: _ClassVar[Outcome]
    OUTCOME_NO_VERDICT: _ClassVar[Outcome]
    OUTCOME_COMPILES: _ClassVar[Outcome]
    OUTCOME_DOES_NOT_COMPILE: _ClassVar[Outcome]

class AssuranceLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ASSURANCE_LEVEL_UNSPECIFIED: _ClassVar[AssuranceLevel]
    ASSURANCE_LEVEL_RULE_ONLY: _ClassVar[AssuranceLevel]
VALIDITY_UNSPECIFIED: Validity
VALIDITY_VALID: Validity
VALIDITY_INFRA: Validity
VALIDITY_TASK: Validity
VALIDITY_FLAKY: Validity
VALIDITY_CANCELLED: Validity
VALIDITY_STRUCTURAL: Validity
OUTCOME_UNSPECIFIED: Outcome
OUTCOME_RESOLVED: Outcome
OUTCOME_UNRESOLVED: Outcome
OUTCOME_EMPTY_PATCH: Outcome
OUTCOME_PATCH_DOES_NOT_APPLY: Outcome
OUTCOME_TESTS_TIMED_OUT: Outcome
OUTCOME_TAMPERED: Outcome
OUTCOME_POLICY_BROKE_SANDBOX: Outcome
OUTCOME_SUBMISSION_TOO_LARGE: Outcome
OUTCOME_TESTS_DID_NOT_FINISH: Outcome
OUTCOME_NO_VERDICT: Outcome
OUTCOME_COMPILES: Outcome
OUTCOME_DOES_NOT_COMPILE: Outcome
ASSURANCE_LEVEL_UNSPECIFIED: AssuranceLevel
ASSURANCE_LEVEL_RULE_ONLY: AssuranceLevel

class Grade(_message.Message):
    __slots__ = ("id", "reward", "validity", "outcome", "reason", "official_resolved", "official_rule", "assurance", "tests", "provenance", "timings", "submitted", "patch", "left_out")
    class TestsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: TestCount
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[TestCount, _Mapping]] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    REWARD_FIELD_NUMBER: _ClassVar[int]
    VALIDITY_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    OFFICIAL_RESOLVED_FIELD_NUMBER: _ClassVar[int]
    OFFICIAL_RULE_FIELD_NUMBER: _ClassVar[int]
    ASSURANCE_FIELD_NUMBER: _ClassVar[int]
    TESTS_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    SUBMITTED_FIELD_NUMBER: _ClassVar[int]
    PATCH_FIELD_NUMBER: _ClassVar[int]
    LEFT_OUT_FIELD_NUMBER: _ClassVar[int]
    id: str
    reward: float
    validity: Validity
    outcome: Outcome
    reason: str
    official_resolved: bool
    official_rule: str
    assurance: Assurance
    tests: _containers.MessageMap[str, TestCount]
    provenance: Provenance
    timings: Timings
    submitted: bool
    patch: bytes
    left_out: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., reward: _Optional[float] = ..., validity: _Optional[_Union[Validity, str]] = ..., outcome: _Optional[_Union[Outcome, str]] = ..., reason: _Optional[str] = ..., official_resolved: _Optional[bool] = ..., official_rule: _Optional[str] = ..., assurance: _Optional[_Union[Assurance, _Mapping]] = ..., tests: _Optional[_Mapping[str, TestCount]] = ..., provenance: _Optional[_Union[Provenance, _Mapping]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., submitted: _Optional[bool] = ..., patch: _Optional[bytes] = ..., left_out: _Optional[_Iterable[str]] = ...) -> None: ...

class Assurance(_message.Message):
    __slots__ = ("level",)
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    level: AssuranceLevel
    def __init__(self, level: _Optional[_Union[AssuranceLevel, str]] = ...) -> None: ...

class TestCount(_message.Message):
    __slots__ = ("passed", "failed", "passed_names", "failed_names")
    PASSED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    PASSED_NAMES_FIELD_NUMBER: _ClassVar[int]
    FAILED_NAMES_FIELD_NUMBER: _ClassVar[int]
    passed: int
    failed: int
    passed_names: _containers.RepeatedScalarFieldContainer[str]
    failed_names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, passed: _Optional[int] = ..., failed: _Optional[int] = ..., passed_names: _Optional[_Iterable[str]] = ..., failed_names: _Optional[_Iterable[str]] = ...) -> None: ...

class Provenance(_message.Message):
    __slots__ = ("environment_digest", "base_commit", "seal", "rule", "parser", "patch_sha256", "log_sha256", "backend", "server_version", "image_digest")
    ENVIRONMENT_DIGEST_FIELD_NUMBER: _ClassVar[int]
    BASE_COMMIT_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    PARSER_FIELD_NUMBER: _ClassVar[int]
    PATCH_SHA256_FIELD_NUMBER: _ClassVar[int]
    LOG_SHA256_FIELD_NUMBER: _ClassVar[int]
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_DIGEST_FIELD_NUMBER: _ClassVar[int]
    environment_digest: str
    base_commit: str
    seal: str
    rule: str
    parser: str
    patch_sha256: str
    log_sha256: str
    backend: str
    server_version: str
    image_digest: str
    def __init__(self, environment_digest: _Optional[str] = ..., base_commit: _Optional[str] = ..., seal: _Optional[str] = ..., rule: _Optional[str] = ..., parser: _Optional[str] = ..., patch_sha256: _Optional[str] = ..., log_sha256: _Optional[str] = ..., backend: _Optional[str] = ..., server_version: _Optional[str] = ..., image_digest: _Optional[str] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queued_ms", "prepare_ms", "sandbox_ms", "command_ms", "grade_ms", "server_ms", "submission_ms", "tests_ms", "verdict_ms")
    QUEUED_MS_FIELD_NUMBER: _ClassVar[int]
    PREPARE_MS_FIELD_NUMBER: _ClassVar[int]
    SANDBOX_MS_FIELD_NUMBER: _ClassVar[int]
    COMMAND_MS_FIELD_NUMBER: _ClassVar[int]
    GRADE_MS_FIELD_NUMBER: _ClassVar[int]
    SERVER_MS_FIELD_NUMBER: _ClassVar[int]
    SUBMISSION_MS_FIELD_NUMBER: _ClassVar[int]
    TESTS_MS_FIELD_NUMBER: _ClassVar[int]
    VERDICT_MS_FIELD_NUMBER: _ClassVar[int]
    queued_ms: int
    prepare_ms: int
    sandbox_ms: int
    command_ms: int
    grade_ms: int
    server_ms: int
    submission_ms: int
    tests_ms: int
    verdict_ms: int
    def __init__(self, queued_ms: _Optional[int] = ..., prepare_ms: _Optional[int] = ..., sandbox_ms: _Optional[int] = ..., command_ms: _Optional[int] = ..., grade_ms: _Optional[int] = ..., server_ms: _Optional[int] = ..., submission_ms: _Optional[int] = ..., tests_ms: _Optional[int] = ..., verdict_ms: _Optional[int] = ...) -> None: ...
