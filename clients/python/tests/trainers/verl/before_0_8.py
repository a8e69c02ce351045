"""verl 0.7 makes the clients of its inference servers itself, and has places to put others there. Since 0.8 it is given them."""

from __future__ import annotations

from typing import Any

import ray
from verl.experimental.agent_loop import AgentLoopManager
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker


class ScriptedWorker(AgentLoopWorker):
    """`servers` is one pair of a name and what stands for the servers."""

    def __init__(self, config: Any, servers: list[tuple[str, Any]], load_balancer_handle: Any, reward_loop_worker_handles: Any = None) -> None:
        self.server_manager = servers[0][1]
        super().__init__(config, servers, load_balancer_handle, reward_loop_worker_handles)


class ScriptedManager(AgentLoopManager):
    """Made with what stands for the servers in the place of the worker group that has them."""

    rollout_replica_class = None
    agent_loop_workers_class = ray.remote(ScriptedWorker)

    async def _initialize_llm_servers(self) -> None:
        self.server_addresses, self.server_handles = ["scripted"], [self.worker_group]

    async def _init_global_load_balancer(self) -> None:
        self.global_load_balancer = None
