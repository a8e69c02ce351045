"""A tiny model made on the spot, and a GRPOTrainer whose model says what is known beforehand."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig, GRPOTrainer
from trl.chat_template_utils import qwen2_5_chat_template

END = "<|im_end|>"


def tokenizer() -> PreTrainedTokenizerFast:
    """Of bytes, with the chat template of Qwen 2.5, whose tool calls TRL can read."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([END, "<|pad|>", "<|im_start|>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END, pad_token="<|pad|>")
    fast.chat_template = qwen2_5_chat_template
    return fast


def model() -> Qwen2ForCausalLM:
    small = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=300, num_key_value_heads=2, max_position_embeddings=60_000, **small))


def call(name: str, **arguments: Any) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def bash(command: str) -> str:
    return call("bash", command=command)


SUBMIT = call("submit_solution")


def trainer(
    kind: type[GRPOTrainer],
    folder: Path,
    environment_factory: Callable[[], Any],
    rows: list[dict[str, Any]],
    reward_funcs: list[Callable[..., Any]] | None = None,
    **config: Any,
) -> Any:
    defaults = {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "report_to": [],
        "num_generations": 4,
        "per_device_train_batch_size": 4,
        "max_steps": 1,
        "max_completion_length": 20_000,
        "max_tool_calling_iterations": 6,
        "logging_steps": 1,
        "save_strategy": "no",
        "beta": 0.0,
    }
    return kind(
        model=model(),
        args=GRPOConfig(**{**defaults, **config}),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer(),
        environment_factory=environment_factory,
        reward_funcs=reward_funcs,
    )


class Scripted(GRPOTrainer):
    """
    Plays `policies`, one a sample, the next ones in the next batch; the first message of a sample names its policy. A message
    that can be called is called with the sample's number, before the model says what comes back.
    """

    policies: list[list[str]]
    asked: list[str]
    rewards: list[list[float]]
    advantages: list[list[float]]
    hooks: dict[str, Callable[[], None]]

    @classmethod
    def of(cls, *policies: list[str], hooks: dict[str, Callable[[], None]] | None = None) -> type[Scripted]:
        facts = {"policies": list(policies), "asked": [], "rewards": [], "advantages": [], "hooks": hooks or {}, "given": 0}
        return type("ScriptedTrainer", (cls,), facts)

    def _generate_single_turn(self, prompt_ids: Any, *_: Any, **__: Any) -> Any:
        return [self._said(self._tokenizer.decode(ids)) for ids in prompt_ids], None

    def _said(self, prompt: str) -> list[int]:
        self.asked.append(prompt)
        named = re.search(r"<\|im_start\|>assistant\nplaying (\d+)\.", prompt)
        if named is None:
            number, type(self).given = type(self).given, type(self).given + 1
            spoken = 0
        else:
            number, spoken = int(named[1]), prompt.count("<|im_start|>assistant") - 1
        messages = self.policies[number]
        text = messages[spoken] if spoken < len(messages) else "I am done."
        if text in self.hooks:
            self.hooks[text]()
            text = bash("ls")
        said = f"playing {number}.\n{text}" if named is None else text
        ids: list[int] = self._tokenizer.encode(said + END, add_special_tokens=False)
        return ids

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Any:
        out = super()._calculate_rewards(*args, **kwargs)
        self.rewards.append(out[:, 0].tolist())
        return out

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        out = super()._generate_and_score_completions(inputs)
        self.advantages.append(out["advantages"].tolist())
        return out
