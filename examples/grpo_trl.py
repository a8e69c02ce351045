"""
GRPO by TRL's own GRPOTrainer against a live server: a tiny transformer, made and warmed up on the spot, learns which tool
calls resolve bundled tasks, from the server's rewards alone. Nothing is downloaded; two cores are enough.

    scripts/sandlot serve --listen 127.0.0.1:50051 &
    "$(scripts/trainer trl)" examples/grpo_trl.py 127.0.0.1:50051 --seed 1 --out /tmp/grpo-trl

The warm-up teaches how a tool call is written, by scripted conversations that edit at random and submit; which edits are right it
does not tell, and 0.22 of them resolve the default task. `--shuffle` deals each step's rewards out at random among its samples, and
then nothing is learnt. Writes `curve.csv` and `curve.png`; the exit status says whether the run rose by `--rise`, or with `--shuffle`
whether it stayed flat (trend.py). Numbers and times of five seeds: docs/trainers/examples.md.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import curve
import torch
import trend
from datasets import Dataset
from sandlot.adapters.trl import SandlotEnvironment
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, PrinterCallback, Qwen2Config, Qwen2ForCausalLM, set_seed
from trl import GRPOConfig, GRPOTrainer
from trl.chat_template_utils import qwen2_5_chat_template

END, PAD, TURN = "<|im_end|>", "<|pad|>", "<|im_start|>"
MOST_CALLS = 3
BATCH = 8
UNDO = "git checkout -q ."
SWEEP = "for (const [k, e] of this.#entries) if (this.#isOver(e)) this.#entries.delete(k);"
# Of each task: the repair, and two that are tempting and wrong.
EDITS = {
    "py-interval-merge": (
        "sed -i 's/if known.overlaps(span):/if known.start <= span.end and span.start <= known.end:/' spans/spanset.py",
        "sed -i 's/ < other.end and other.start < / <= other.end and other.start <= /' spans/span.py",
        "sed -i 's/if known.overlaps(span):/if known.overlaps(span) or known.end == span.start:/' spans/spanset.py",
    ),
    "js-ttl-cache": (
        f"sed -i -E '/get size|keys\\(\\) \\{{|^    this.#entries.delete\\(key\\);/a {SWEEP}' src/cache.js",
        f"sed -i '/get size/a {SWEEP}' src/cache.js",
        f"sed -i -E '/^    this.#entries.delete\\(key\\);/a {SWEEP}' src/cache.js",
    ),
}
SUBMIT = {"name": "submit_solution", "arguments": {}}


class Trainer(GRPOTrainer):
    """GRPOTrainer, with a row for each step; with `shuffled`, it learns from the step's rewards dealt out at random."""

    shuffled: bool
    rows: list[dict[str, float]]

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        began = time.monotonic()
        scored = super()._generate_and_score_completions(inputs)
        self.rows[-1]["seconds"] = round(time.monotonic() - began, 2)
        row = self.rows[-1]
        print(f"step {len(self.rows):3} of {self.args.max_steps}: mean reward {row['reward']:.2f}, {row['seconds']:.1f} s", flush=True)
        return scored

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Any:
        found = super()._calculate_rewards(*args, **kwargs)
        self.rows.append(summary(len(self.rows), found[:, 0].tolist()))
        return found[torch.randperm(len(found))] if self.shuffled else found


def train(args: argparse.Namespace) -> list[dict[str, float]]:
    set_seed(args.seed)
    torch.set_num_threads(1)  # a second one only costs time with so small a model
    factory = partial(SandlotEnvironment, server=args.address, labels={"program": "grpo-trl"})
    environment = factory()
    tools = [environment.bash, environment.submit_solution]
    answers = {task: asyncio.run(recorded(environment, task)) for task in args.task}
    conversations = [scripted(task, answers[task]) for _ in range(args.warm_up) for task in args.task * (BATCH // len(args.task))]
    tokenizer = tokenizer_of(conversations[:64], tools)
    model = model_of(tokenizer)
    began = time.monotonic()
    loss = warm_up(model, tokenizer, conversations, tools)
    print(f"warm-up: {args.warm_up} steps, loss {loss:.3f}, {time.monotonic() - began:.0f} s", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)  # from where TRL takes two: what it trains, and what that is held near to by `beta`
        trainer = Trainer(
            model=folder,
            args=config(args, folder),
            train_dataset=Dataset.from_list([{"prompt": prompt(task), "task_id": task} for task in args.task] * args.steps),
            processing_class=tokenizer,
            environment_factory=factory,
        )
        trainer.rows, trainer.shuffled = [], args.shuffle
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return trainer.rows


def config(args: argparse.Namespace, folder: str) -> GRPOConfig:
    return GRPOConfig(
        output_dir=folder,
        seed=args.seed,
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        max_steps=args.steps,
        num_generations=args.group,
        per_device_train_batch_size=args.group * len(args.task),
        max_completion_length=1024,
        max_tool_calling_iterations=MOST_CALLS,
        # Adam steps as far on noise as on a signal, and what it lacks in direction becomes a walk at random.
        optim="sgd",
        learning_rate=args.rate,
        lr_scheduler_type="constant",
        beta=args.beta,
    )


def prompt(task: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": f"Repair {task}."}]


def calls_of(task: str) -> list[str]:
    """What the policy may write, as it writes it; the submission is the last."""
    edits = [{"name": "bash", "arguments": {"command": command}} for command in (*EDITS[task], UNDO)]
    return [f"<tool_call>\n{json.dumps(call)}\n</tool_call>" for call in (*edits, SUBMIT)]


async def recorded(environment: SandlotEnvironment, task: str) -> list[str]:
    """What the server answers to each of `calls_of`."""
    environment.reset(task_id=task)
    answers = [await environment.bash(command) for command in (*EDITS[task], UNDO)]
    answers.append(await environment.submit_solution())
    await environment.get_reward()
    return answers


def scripted(task: str, answers: Sequence[str]) -> list[dict[str, str]]:
    """A conversation that edits at random and submits."""
    *edits, last = zip(calls_of(task), answers, strict=True)
    played = [*random.choices(edits, k=random.randrange(1, MOST_CALLS)), last]
    messages = prompt(task)
    for call, answer in played:
        messages += [{"role": "assistant", "content": call}, {"role": "tool", "content": answer}]
    return [*messages, {"role": "assistant", "content": "Done."}]


def tokenizer_of(conversations: Sequence[Any], tools: Sequence[Any]) -> PreTrainedTokenizerFast:
    """Words and parts of words learnt from the conversations, with the chat template of Qwen 2.5, whose tool calls TRL can read."""
    made = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(" ?[^ \\n]+|\\n| "), "isolated")
    made.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    made.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END, pad_token=PAD)
    fast.chat_template = qwen2_5_chat_template
    texts = [fast.apply_chat_template(one, tools=tools, tokenize=False) for one in conversations]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner = trainers.BpeTrainer(vocab_size=1000, initial_alphabet=alphabet, special_tokens=[END, PAD, TURN], show_progress=False)
    made.train_from_iterator(texts, learner)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=END, pad_token=PAD)
    fast.chat_template = qwen2_5_chat_template
    return fast


def model_of(tokenizer: PreTrainedTokenizerFast) -> Qwen2ForCausalLM:
    small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    heads = {"num_key_value_heads": 4, "max_position_embeddings": 4096, "initializer_range": 0.1}
    tokens = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    return Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), **small, **heads, **tokens))


def warm_up(model: Qwen2ForCausalLM, tokenizer: Any, conversations: Sequence[Any], tools: Sequence[Any]) -> float:
    """Supervised, on what the assistant says; the loss of the last batch."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=8e-3)
    steps = len(conversations) // BATCH
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / 20, 1 - step / steps))
    begin = tokenizer.encode(f"{TURN}assistant\n")
    model.train()
    for at in range(0, len(conversations), BATCH):
        texts = [tokenizer.apply_chat_template(one, tools=tools, tokenize=False) for one in conversations[at : at + BATCH]]
        batch = tokenizer(texts, return_tensors="pt", padding=True)
        labels = torch.full_like(batch["input_ids"], -100)
        for row, ids in enumerate(batch["input_ids"].tolist()):
            for start in spoken(ids, begin):
                end = ids.index(tokenizer.eos_token_id, start) + 1
                labels[row, start:end] = batch["input_ids"][row, start:end]
        loss = model(**batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return float(loss.detach())


def spoken(ids: Sequence[int], begin: Sequence[int]) -> list[int]:
    """Where the assistant begins to speak."""
    return [at + len(begin) for at in range(len(ids)) if ids[at : at + len(begin)] == begin]


def summary(step: int, rewards: Sequence[float]) -> dict[str, float]:
    """Of a sample without a verdict the reward is NaN."""
    known = [reward for reward in rewards if reward == reward]
    return {
        "step": step,
        "reward": sum(known) / len(known) if known else float("nan"),
        "samples": len(known),
        "without_verdict": len(rewards) - len(known),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="HOST:PORT of the server")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--task", action="append", choices=sorted(EDITS), help="this bundled task; may be repeated")
    parser.add_argument("--warm-up", type=int, default=150, help="supervised steps before")
    parser.add_argument("--steps", type=int, default=16, help="of GRPO")
    parser.add_argument("--group", type=int, default=32, help="samples a task and step")
    parser.add_argument("--rate", type=float, default=0.25, help="learning rate")
    parser.add_argument("--beta", type=float, default=0.2, help="what it costs to leave the warmed-up model (KL)")
    parser.add_argument("--shuffle", action="store_true", help="deal each step's rewards out at random")
    parser.add_argument("--rise", type=float, default=0.3, help="the mean reward must rise by so much, else the exit status is 1")
    parser.add_argument("--out", type=Path, default=Path("grpo-trl"))
    args = parser.parse_args()
    args.task = args.task or ["py-interval-merge"]
    began = time.monotonic()
    rows = train(args)
    title = f"mean reward by step, seed {args.seed}{', rewards shuffled' if args.shuffle else ''}"
    curve.write(rows, args.out, title)
    holds, found = trend.judged(rows, args.shuffle, args.rise)
    print(f"{title}: {found}; {time.monotonic() - began:.0f} s, {time.process_time():.0f} s of processor time here")
    print(f"curve: {args.out / 'curve.csv'}, {args.out / 'curve.png'}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
