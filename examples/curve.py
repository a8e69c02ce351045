"""
The curve of a training run, as a table and as a picture; and several runs in one picture, those of one name in one colour:

    .venv/bin/python examples/curve.py runs.png "true=/tmp/1/curve.csv" "true=/tmp/2/curve.csv" "shuffled=/tmp/3/curve.csv"
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 760, 360
LEFT, RIGHT, TOP, BOTTOM = 50, 740, 40, 310
COLOURS = ("#0066cc", "#2a9d3a", "#c03fb5", "#888888", "#d9822b", "#222222")


def write(rows: Sequence[Mapping[str, Any]], folder: Path, title: str) -> None:
    """`curve.csv`, and `curve.png` with the mean reward of each step."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "curve.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    draw([("", [float(row["reward"]) for row in rows])], folder / "curve.png", title)


def draw(curves: Sequence[tuple[str, Sequence[float]]], path: Path, title: str) -> None:
    """Rewards from 0 to 1 over the steps, a line for each run; a step without any reward is a gap."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    pen.text((LEFT, 12), title, "black", font)
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        pen.line((LEFT, _y(level), RIGHT, _y(level)), "#dddddd")
        pen.text((10, _y(level) - 7), f"{level:.2f}", "black", font)
    longest = max(len(values) for _, values in curves)
    pen.text((LEFT, BOTTOM + 8), f"step 1 to {longest}", "black", font)
    names = list(dict.fromkeys(name for name, _ in curves))
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    for number, name in enumerate(names):
        pen.text((LEFT + 120 + 150 * number, BOTTOM + 8), name, colours[name], font)
    for name, values in curves:
        points = [(LEFT + (RIGHT - LEFT) * step / max(1, longest - 1), _y(value)) for step, value in enumerate(values)]
        for before, after in pairwise(points):
            if before[1] == before[1] and after[1] == after[1]:  # NaN differs from itself
                pen.line((*before, *after), colours[name], 2)
    image.save(path)


def _y(reward: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * reward


def main(arguments: Sequence[str]) -> int:
    if len(arguments) < 2 or not all("=" in one for one in arguments[1:]):
        print("usage: curve.py PICTURE.png NAME=CURVE.csv...", file=sys.stderr)
        return 2
    curves = []
    for name, _, path in (one.partition("=") for one in arguments[1:]):
        with Path(path).open() as file:
            curves.append((name, [float(row["reward"]) for row in csv.DictReader(file)]))
    draw(curves, Path(arguments[0]), "mean reward by step")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
