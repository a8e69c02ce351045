"""
Sandlot as a resources server of NeMo-Gym 0.4: an `app.py` with `SandlotResourcesServer.run_webserver()`.

`/seed_session` begins a trajectory on the row's `task_id`, each tool of the server is a route, and `/verify` has the verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse
from nemo_gym.base_resources_server import (
    BaseResourcesServerConfig,
    BaseSeedSessionRequest,
    BaseSeedSessionResponse,
    BaseVerifyRequest,
    BaseVerifyResponse,
    SimpleResourcesServer,
)
from nemo_gym.server_utils import SESSION_ID_KEY
from pydantic import ConfigDict, Field, PrivateAttr

import sandlot

from .attempt import Attempt, Lost, attempt, log, report_of_lost, task_of
from .settings import Settings

_LOST = 503
_MISUSED = 422


class SandlotResourcesServerConfig(BaseResourcesServerConfig):  # type: ignore[misc,unused-ignore]
    sandlot: dict[str, Any] = Field(default_factory=dict)
    """The keys of `sandlot.adapters.settings.Settings`. An unknown key is an error."""
    tools: tuple[str, ...] = ()
    """Empty: those of the task, as the rows of `sandlot dataset build --format nemo-gym` name them."""
    idle_s: float = 3600.0
    """A session that nobody calls for so long is released: an agent that died verifies nothing."""


class SeedRequest(BaseSeedSessionRequest):  # type: ignore[misc,unused-ignore]
    """A row."""

    model_config = ConfigDict(extra="allow")


class VerifyRequest(BaseVerifyRequest):  # type: ignore[misc,unused-ignore]
    model_config = ConfigDict(extra="allow")


class VerifyResponse(BaseVerifyResponse):  # type: ignore[misc,unused-ignore]
    """The row and its answer, the reward, and the numbers of the report."""

    model_config = ConfigDict(extra="allow")


class SandlotResourcesServer(SimpleResourcesServer):  # type: ignore[misc,unused-ignore]
    """
    One process: sessions live in it. What the infrastructure spoils is answered by 503, which stops the collection, or by
    a counted 0 where `on_failure` says so: NeMo-Gym can drop no sample.
    """

    config: SandlotResourcesServerConfig
    _settings: Settings = PrivateAttr()
    _sessions: dict[str, _Session] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        super().model_post_init(context)
        self._settings = Settings.read(self.config.sandlot, "sandlot")
        if (self.config.num_workers or 1) > 1:
            raise ValueError(
                f"num_workers: expected 1, for sessions live in one process, got {self.config.num_workers}"
            )

    def setup_webserver(self) -> FastAPI:
        app = super().setup_webserver()
        app.post("/{tool}")(self.call_tool)
        inner = app.router.lifespan_context

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
            async with inner(app) as state:
                try:
                    yield state
                finally:
                    await asyncio.gather(*(one.release() for one in self._sessions.values()))

        app.router.lifespan_context = lifespan
        return app

    async def seed_session(self, request: Request, body: SeedRequest) -> BaseSeedSessionResponse:
        session_id = request.session[SESSION_ID_KEY]
        await self._forget(session_id)
        session = _Session(self._settings, self.config.tools)
        try:
            await session.begin(task_of(body.model_extra or {}))
        except (ValueError, sandlot.SandlotError) as error:
            raise HTTPException(_MISUSED, str(error)) from error
        self._sessions[session_id] = session
        self._touch(session_id)
        if session.lost is not None and self._settings.on_failure == "raise":
            raise HTTPException(_LOST, str(session.lost))
        return BaseSeedSessionResponse()

    async def call_tool(self, tool: str, request: Request) -> PlainTextResponse:
        """Any tool, with the arguments as the model wrote them: what is wrong with them, it is told."""
        session_id = request.session[SESSION_ID_KEY]
        self._touch(session_id)
        return PlainTextResponse(await self._session(session_id).call(tool, (await request.body()).decode()))

    async def verify(self, request: Request, body: VerifyRequest) -> VerifyResponse:
        session_id = request.session[SESSION_ID_KEY]
        session = self._session(session_id)
        try:
            await session.finish()
        finally:
            await self._forget(session_id)
        if session.lost is not None:
            log.error("no reward: %s", session.lost)
            if self._settings.on_failure == "raise":
                raise HTTPException(_LOST, str(session.lost))
        report = session.report()
        return VerifyResponse(**body.model_dump(), reward=report["score"], sandlot=report)

    def _session(self, session_id: str) -> _Session:
        if session_id not in self._sessions:
            raise HTTPException(
                _MISUSED, f"there is no session: expected /seed_session before, at most {self.config.idle_s:g} s ago"
            )
        return self._sessions[session_id]

    def _touch(self, session_id: str) -> None:
        if session_id in self._sessions:
            self._sessions[session_id].touch(self.config.idle_s)

    async def _forget(self, session_id: str) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            await session.release()


class _Session:
    """One attempt. `lost` says that there is no reward, and why."""

    def __init__(self, settings: Settings, tools: tuple[str, ...]) -> None:
        self._settings = settings
        self._tools = tools
        self._holding: AbstractAsyncContextManager[Attempt] | None = None
        self._attempt: Attempt | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self.lost: Lost | None = None

    async def begin(self, task_id: str) -> None:
        """Tried `retries` times more where that may help."""
        for _ in range(self._settings.retries + 1):
            labels = {"trainer": "nemo-gym"}
            holding = attempt(self._settings, task_id, group=None, labels=labels, tools=self._tools)
            try:
                self._attempt = await holding.__aenter__()
            except Lost as lost:
                self.lost = lost
                log.warning("no trajectory for %s: %s", task_id, lost)
                if not lost.again:
                    return
            else:
                self._holding, self.lost = holding, None
                return

    async def call(self, tool: str, arguments: str) -> str:
        return "" if self._attempt is None else await self._attempt.call(tool, arguments)

    async def finish(self) -> None:
        """The model is done: the grade, where one is due."""
        if self._attempt is not None and self.lost is None:
            await self._attempt.settle()
            self.lost = self._attempt.lost

    def report(self) -> dict[str, float]:
        return report_of_lost() if self._attempt is None else self._attempt.report()

    def touch(self, idle_s: float) -> None:
        """From now on `idle_s` until it is released by itself."""
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.get_running_loop().call_later(idle_s, self._expire, idle_s)

    async def release(self) -> None:
        """Idempotent."""
        if self._idle is not None:
            self._idle.cancel()
        holding, self._holding = self._holding, None
        if holding is not None:
            await holding.__aexit__(None, None, None)

    def _expire(self, idle_s: float) -> None:
        self.lost = self.lost or Lost(f"nobody called for {idle_s:g} s, and the trajectory was released", again=False)
        self._ending = asyncio.create_task(self.release())
