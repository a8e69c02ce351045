"""In place of a model: what it says is known beforehand, in real tokens of a tokenizer that is made on the spot."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

Before = Callable[[int], Awaitable[None]]
END = "<|endoftext|>"
TURN = "<|assistant|>"


def make_tokenizer(folder: Path, template: str) -> Path:
    """A tokenizer of bytes, and the configuration of a model that nobody loads."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([END, "<|pad|>"])
    tokenizer.add_tokens([TURN, "<|user|>", "<|system|>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token="<|pad|>", bos_token=END)
    fast.chat_template = template
    fast.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "olmo2", "architectures": ["Olmo2ForCausalLM"], "vocab_size": 300}))
    return folder


def call(name: str, arguments: Any) -> str:
    """A tool call as hermes models write it."""
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def bash(command: str) -> str:
    return call("bash", {"command": command})


SUBMIT = call("submit_solution", {})


class ScriptedModel:
    """
    Says the messages of the policy that the prompt names (`policy=NAME`), by turns, the last one for ever; with `policy=A+B`
    rollouts take the one and the other, as they come. Pickles; it stands where verl has the client of its inference servers. No dataclass: hydra would make a configuration of it.
    """

    def __init__(self, folder: Path, policies: dict[str, list[str]], before: Before | None = None) -> None:
        """`before` is awaited ahead of each message, with its number from 1."""
        self.folder = folder
        self.policies = policies
        self.before = before
        self.asked: list[str] = []
        self._rollouts: dict[str, int] = {}

    async def generate(self, request_id: str, *, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any) -> Any:
        from verl.workers.rollout.replica import TokenOutput

        tokenizer = loaded(self.folder)
        prompt = tokenizer.decode(prompt_ids)
        self.asked.append(prompt)
        name = re.search(r"policy=([\w+-]+)", prompt)
        assert name, f"no policy in {prompt[:300]!r}"
        names = name[1].split("+")
        messages = self.policies[names[self._rollouts.setdefault(request_id, len(self._rollouts)) % len(names)]]
        number = prompt.count(TURN)
        if self.before is not None:
            await self.before(number)
        text = messages[min(number, len(messages)) - 1]
        ids = tokenizer.encode(text, add_special_tokens=False) + [tokenizer.eos_token_id]
        return TokenOutput(token_ids=ids, log_probs=[-0.5] * len(ids), stop_reason="completed", extra_fields={"min_global_steps": 1, "max_global_steps": 1})


async def second_message_waits(until: Path, message: int) -> None:
    """Until a test has made that file: to be given as `before` to a model in another process."""
    while message == 2 and not until.exists():
        await asyncio.sleep(0.05)


@cache
def loaded(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder)
