"""Rows through verl's own configuration, data set and AgentLoopWorker, as its trainer does it."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from scripted import Before, ScriptedModel, loaded, make_tokenizer
from transformers import AutoTokenizer
from verl import DataProto
from verl.experimental.agent_loop import AgentLoopManager
from verl.experimental.agent_loop.agent_loop import AgentLoopWorker
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

TAKES_MODEL = "llm_client" in inspect.signature(AgentLoopWorker.__init__).parameters
Change = Callable[[dict[str, Any]], None]
ROOT = Path(__file__).resolve().parents[5]
EXAMPLE = ROOT / "examples/verl"


class Verl:
    """
    The example's configuration over a tokenizer of bytes. `settings` go over those of agent_loop.yaml, `tool_settings`
    over those of tool_config.yaml, `overrides` over those of the trainer.
    """

    def __init__(self, folder: Path, policies: dict[str, list[str]]) -> None:
        self.folder = folder
        self.policies = dict(policies)
        self.overrides: list[str] = []
        self.settings: dict[str, Any] = {}
        self.tool_settings: dict[str, Any] = {}
        self.agent = "sandlot"
        self.before: Before | None = None
        self.model: ScriptedModel | None = None

    def config(self) -> DictConfig:
        """Bytes are more tokens than words are, so the lengths are greater; nothing else of the example changes."""
        loops, tools = self.folder / "agent_loop.yaml", self.folder / "tool_config.yaml"
        blocks = yaml.safe_load((EXAMPLE / loops.name).read_text())
        blocks[0]["sandlot"].update(self.settings)
        loops.write_text(yaml.safe_dump(blocks))
        configured = yaml.safe_load((EXAMPLE / tools.name).read_text())
        for tool in configured["tools"]:
            tool["config"].update(self.tool_settings)
        tools.write_text(yaml.safe_dump(configured))
        overrides = [
            f"actor_rollout_ref.model.path={self.folder / 'model'}",
            f"actor_rollout_ref.rollout.agent.agent_loop_config_path={loops}",
            f"actor_rollout_ref.rollout.multi_turn.tool_config_path={tools}",
            f"actor_rollout_ref.rollout.agent.default_agent_loop={self.agent}",
            "actor_rollout_ref.rollout.calculate_log_probs=True",
            "data.max_prompt_length=12000",
            "data.max_response_length=16000",
            f"data.train_files={self.folder / 'train.parquet'}",
            *self.overrides,
        ]
        with initialize_config_dir(str(EXAMPLE), version_base=None):
            config = compose("swebench_multiturn_grpo", overrides=overrides)
        if not (self.folder / "model").exists():
            make_tokenizer(self.folder / "model", config.actor_rollout_ref.model.custom_chat_template)
        return config

    def batch(self, config: DictConfig, plays: Sequence[tuple[str, str]], change: Change | None = None) -> DataProto:
        """One row per (task, policy), as a worker of verl gets them."""
        return DataProto.from_single_dict(collate_fn(self.samples(config, plays, change)))

    def samples(self, config: DictConfig, plays: Sequence[tuple[str, str]], change: Change | None = None) -> list[dict[str, Any]]:
        """Read by verl's data set."""
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(self._rows(plays, change)), self.folder / "train.parquet")
        tokenizer = AutoTokenizer.from_pretrained(self.folder / "model")
        tokenizer.chat_template = config.actor_rollout_ref.model.custom_chat_template
        gc.collect()  # verl filters in forked processes, where a gRPC channel that is collected waits for a thread that is not there
        data = RLHFDataset(data_files=[config.data.train_files], tokenizer=tokenizer, config=config.data, processor=None)
        assert len(data) == len(plays), "no prompt was filtered out"
        return [data[number] for number in range(len(plays))]

    def worker(self, config: DictConfig) -> AgentLoopWorker:
        self.model = ScriptedModel(self.folder / "model", self.policies, self.before)
        return worker_of(config, self.model)

    def play(self, *plays: tuple[str, str], change: Change | None = None) -> DataProto:
        """What verl would train on. `change` is done to each row before it is written."""
        config = self.config()
        batch = self.batch(config, plays, change)
        batch.meta_info["global_steps"] = 1
        return asyncio.run(self.worker(config).generate_sequences(batch))

    def responses(self, out: DataProto) -> list[str]:
        """All that follows the prompt, what the model read included."""
        masks = out.batch["attention_mask"][:, -out.batch["responses"].shape[1] :]
        return [self.decoded(ids[mask.bool()]) for ids, mask in zip(out.batch["responses"], masks, strict=True)]

    def decoded(self, ids: Any) -> str:
        return str(loaded(self.folder / "model").decode(ids))

    def _rows(self, plays: Sequence[tuple[str, str]], change: Change | None) -> list[dict[str, Any]]:
        rows = []
        for index, (task_id, policy) in enumerate(plays):
            row = copy.deepcopy(bundled_rows().get(task_id) or next(iter(bundled_rows().values())))
            row["prompt"][-1]["content"] += f"\npolicy={policy}"
            row["agent_name"] = self.agent
            row["extra_info"].update(index=index, task_id=task_id)
            row["extra_info"]["tools_kwargs"] = {name: {"create_kwargs": {"task_id": task_id}} for name in ("bash", "submit_solution")}
            if change is not None:
                change(row)
            rows.append(row)
        return rows


@cache
def bundled_rows() -> dict[str, dict[str, Any]]:
    """As `sandlot dataset build` writes them, by task."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([ROOT / "scripts/sandlot", "dataset", "build", "--bundled", "--val", "0", "--out", folder], check=True, capture_output=True)
        rows = pyarrow.parquet.read_table(Path(folder) / "train.parquet").to_pylist()
    return {row["extra_info"]["task_id"]: row for row in rows}


def worker_of(config: DictConfig, model: ScriptedModel, rewarders: list[Any] | None = None) -> AgentLoopWorker:
    if TAKES_MODEL:
        return AgentLoopWorker(config, model, None, rewarders)
    from before_0_8 import ScriptedWorker

    return ScriptedWorker(config, [("scripted", model)], None, rewarders)


def manager_of(config: DictConfig, model: ScriptedModel) -> AgentLoopManager:
    if TAKES_MODEL:
        return AgentLoopManager.create(config, model, None, [])
    from before_0_8 import ScriptedManager

    return ScriptedManager.create(config, model, None, [])


def rewards(out: DataProto) -> list[float]:
    return out.batch["rm_scores"].sum(-1).tolist()
