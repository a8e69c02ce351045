"""A tokenizer made on the spot, and an inference engine that says what is known beforehand."""

from __future__ import annotations

import asyncio
import json
import sys
import typing
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import typing_extensions

if sys.version_info < (3, 12):
    typing.TypedDict = typing_extensions.TypedDict  # type: ignore[misc]  # pydantic wants it below Python 3.12

from skyrl.train.config import GeneratorConfig, SkyRLGymConfig, SkyRLTrainConfig
from skyrl.train.generators.base import GeneratorInput, TrajectoryID
from skyrl.train.trainer import RayPPOTrainer
from skyrl.train.utils.trainer_utils import validate_generator_output
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

END = "<|im_end|>"
TEMPLATE = (
    "{% if tools %}<|im_start|>tools\n{{ tools | tojson }}<|im_end|>\n{% endif %}"
    "{% for one in messages %}<|im_start|>{{ one.role }}\n{{ one.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """Of bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([END, "<|im_start|>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END, pad_token=END)
    fast.chat_template = TEMPLATE
    return fast


def call(name: str, **arguments: Any) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def bash(command: str) -> str:
    return call("bash", command=command)


SUBMIT = call("submit_solution")


class Engine:
    """
    Sample number i plays `policies[i]`; one that is played again begins anew. A message that is in `hooks` looks around instead,
    after a call of that hook the first time.
    """

    model_name = "scripted"

    def __init__(self, policies: Sequence[Sequence[str]], hooks: dict[str, Callable[[], None]] | None = None) -> None:
        self.tokenizer = tokenizer()
        self.asked: list[list[str]] = [[] for _ in policies]
        self.finished: list[str] = []
        self._policies = policies
        self._hooks = hooks or {}
        self._called: set[str] = set()

    async def generate(self, asked: Any, model: str | None = None) -> dict[str, Any]:
        number = int(asked["session_ids"][0].split("_")[-1])
        prompt = self.tokenizer.decode(asked["prompt_token_ids"][0])
        self.asked[number].append(prompt)
        spoken = prompt.count("<|im_start|>assistant\n") - 1
        text = self._policies[number][spoken] if spoken < len(self._policies[number]) else "I am done."
        if text in self._hooks:
            if text not in self._called:
                self._called.add(text)
                await asyncio.to_thread(self._hooks[text])
            text = bash("ls")
        ids = self.tokenizer.encode(text + END, add_special_tokens=False)
        return {"responses": [text + END], "response_ids": [ids], "stop_reasons": ["stop"], "response_logprobs": [[-0.5] * len(ids)]}

    async def finish_session(self, session: str) -> None:
        self.finished.append(session)


def generator(kind: type[Any], engine: Engine, tools: Any = None, max_turns: int = 6, by_step: bool = False) -> Any:
    config = GeneratorConfig()
    config.step_wise_trajectories = by_step
    config.max_turns = max_turns
    config.batched = False
    config.max_input_length = 30_000
    config.use_conversation_multi_turn = True
    if tools is not None:
        config.chat_template_kwargs["tools"] = tools
    return kind(config, SkyRLGymConfig(), engine, engine.tokenizer)


def batch(rows: Sequence[dict[str, Any]], group: int = 0) -> GeneratorInput:
    """One sample for each row, all of one group or in groups of that size."""
    return {
        "prompts": [[{"role": "user", "content": "Fix it."}] for _ in rows],
        "env_classes": ["sandlot"] * len(rows),
        "env_extras": [dict(row) for row in rows],
        "sampling_params": None,
        "trajectory_ids": [TrajectoryID(str(number // (group or len(rows))), number) for number in range(len(rows))],
        "batch_metadata": None,
    }


def trained(output: Any, group: int) -> Any:
    """
    What SkyRL's trainer makes of a generator's output, by its own steps: the advantage of each row, what of it moves the
    policy, token by token, and its metrics. Groups of that size lie one behind the other.
    """
    by_step, count = output["is_last_step"] is not None, len(output["rewards"])
    ids = output["trajectory_ids"] or [TrajectoryID(str(row // group), row) for row in range(count)]
    uids = [one.instance_id for one in ids]
    config = SkyRLTrainConfig()
    config.generator.n_samples_per_prompt, config.generator.step_wise_trajectories = group, by_step
    config.trainer.train_batch_size = config.trainer.policy_mini_batch_size = len(set(uids))
    trainer = SimpleNamespace(cfg=config, tokenizer=tokenizer(), all_metrics={}, dispatch=SimpleNamespace(get_lcm_dp_size=lambda: 1))
    validate_generator_output(count, output, step_wise=by_step)
    data = RayPPOTrainer.convert_to_training_input(trainer, *RayPPOTrainer.postprocess_generator_output(trainer, output, uids))
    data["values"] = None
    data = RayPPOTrainer.compute_advantages_and_returns(trainer, data)
    advantages = [float(row[mask.bool()][0]) for row, mask in zip(data["advantages"], data["response_mask"], strict=True)]
    return advantages, data["advantages"] * data["loss_mask"], trainer.all_metrics
