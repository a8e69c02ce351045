"""What `sandlot dataset build` writes is read by verl and by what it rests on, with the same types everywhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import datasets
import pandas
import pyarrow.parquet
import pytest
from conftest import ROOT
from omegaconf import OmegaConf
from scripted import make_tokenizer
from transformers import AutoTokenizer
from verl.utils.dataset.rl_dataset import RLHFDataset

TEMPLATE = "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{% endfor %}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    subprocess.run(["scripts/sandlot", "dataset", "build", "--bundled", "--val", "0.3", "--out", str(folder)], cwd=ROOT, check=True)
    return folder


def test_every_reader_sees_the_same_rows_and_types(built: Path, tmp_path: Path) -> None:
    path = str(built / "train.parquet")
    rows = pyarrow.parquet.read_table(path).to_pylist()
    assert rows and all(isinstance(row["extra_info"]["index"], int) and row["extra_info"]["need_tools_kwargs"] is True for row in rows)
    assert [row["extra_info"]["index"] for row in rows] == list(range(len(rows)))
    framed = pandas.read_parquet(path)
    assert [extra["task_id"] for extra in framed["extra_info"]] == [row["extra_info"]["task_id"] for row in rows]
    loaded = datasets.load_dataset("parquet", data_files=path, cache_dir=str(tmp_path))["train"]
    assert [dict(row) for row in loaded] == rows


def test_verl_makes_samples_of_the_rows(built: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_tokenizer(tmp_path / "model", TEMPLATE))
    tokenizer.chat_template = TEMPLATE
    config = OmegaConf.create({"max_prompt_length": 20_000, "filter_overlong_prompts": True, "return_raw_chat": True, "cache_dir": str(tmp_path)})
    data = RLHFDataset(data_files=[str(built / "train.parquet")], tokenizer=tokenizer, config=config, processor=None)
    sample = data[0]
    assert [message["role"] for message in sample["raw_prompt"]] == ["system", "user"]
    assert sample["agent_name"] == "sandlot" and sample["data_source"] == "sandlot/bundled"
    task = sample["extra_info"]["task_id"]
    assert sample["tools_kwargs"] == {name: {"create_kwargs": {"task_id": task}} for name in ("bash", "submit_solution")}
