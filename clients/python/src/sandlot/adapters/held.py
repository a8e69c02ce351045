"""A sandbox that an agent harness holds."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import sandlot

from .attempt import policys_own
from .background import Background, Out


@dataclass(frozen=True)
class Wanted:
    """Which sandbox, where. Those of the adapters that take settings by name check them before."""

    server: str
    task_id: str = ""
    image: str = ""
    """A bare sandbox from this container image, without a task and a grade, in place of one for `task_id`."""
    token: str | None = None
    tls: Mapping[str, str] = field(default_factory=dict)
    graded: bool = True
    """A trajectory. False: a bare sandbox with the environment of the task and no grade."""
    pool: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)
    patience_s: float = 600.0
    create_deadline_s: float = 3600.0


class Held:
    """
    Made by `hold`, over with `release`. Its calls belong to the loop of `background`. Harnesses that take any error for the
    end of an episode, and ask for the reward all the same, call by `watched`.
    """

    def __init__(
        self, background: Background, client: sandlot.Client, open_one: sandlot.Trajectory | sandlot.BareSandbox
    ) -> None:
        self.background = background
        self.client = client
        self.id = open_one.id
        self.workdir = open_one.summary.workdir
        messages = open_one.messages if isinstance(open_one, sandlot.Trajectory) else []
        self.problem = str(messages[-1]["content"]) if messages else ""
        """The task in words; empty for a bare sandbox."""
        self.sandbox = open_one.sandbox if isinstance(open_one, sandlot.Trajectory) else open_one
        self.grade: sandlot.Grade | None = None
        self._one = open_one
        self._over = False
        self.spoiled: sandlot.SandlotError | None = None
        """What the infrastructure did to a call: there is no reward any more."""

    async def watched(self, work: Coroutine[Any, Any, Out]) -> Out:
        """Runs a call. An error that is neither a wrong call nor the policy's doing is raised by all the later ones too."""
        if self.spoiled is not None:
            work.close()
            raise self.spoiled
        try:
            return await self.background.run(work)
        except sandlot.SandlotError as error:
            if not isinstance(error, sandlot.InvalidError) and not policys_own(error):
                self.spoiled = error
            raise

    async def submit(self) -> sandlot.Grade:
        """Grades the work tree as it is, once. `reward` is None when there is no valid verdict."""
        if not isinstance(self._one, sandlot.Trajectory):
            raise RuntimeError("graded: expected true, got false")
        if self.spoiled is not None:
            raise self.spoiled
        if self.grade is None:
            self.grade = await self.background.run(_graded(self._one))
        return self.grade

    async def release(self) -> None:
        """Idempotent. A server that is out of reach does it when the lease is over."""
        if self._over:
            return
        self._over = True
        try:
            await self.background.run(self._closed())
        finally:
            self.background.stop()

    async def _closed(self) -> None:
        try:
            await self._one.__aexit__(None, None, None)
        finally:
            await self.client.__aexit__(None, None, None)


async def _graded(trajectory: sandlot.Trajectory) -> sandlot.Grade:
    """A policy that broke its sandbox has its grade already."""
    try:
        return await trajectory.submit()
    except sandlot.EndedError as error:
        if policys_own(error) and error.trajectory is not None and error.trajectory.grade is not None:
            return error.trajectory.grade
        raise


async def hold(wanted: Wanted) -> Held:
    """A sandbox with a connection and a loop of its own."""
    background = Background()
    try:
        return await background.run(_opened(wanted, background))
    except BaseException:
        background.stop()
        raise


async def _opened(wanted: Wanted, background: Background) -> Held:
    client = sandlot.connect(
        wanted.server,
        wanted.token,
        tls=wanted.tls,
        patience=wanted.patience_s,
        create_deadline=wanted.create_deadline_s,
    )
    await client.__aenter__()
    try:
        one = _asked(client, wanted)
        await one.open()
    except BaseException:
        await client.__aexit__(None, None, None)
        raise
    return Held(background, client, one)


def _asked(client: sandlot.Client, wanted: Wanted) -> sandlot.Trajectory | sandlot.BareSandbox:
    pool, labels, limits = wanted.pool, wanted.labels, wanted.limits
    if wanted.graded and not wanted.image:
        return client.trajectory(wanted.task_id, pool=pool, labels=labels, limits=limits)
    return client.sandbox(wanted.task_id, image=wanted.image, pool=pool, labels=labels, limits=limits)
