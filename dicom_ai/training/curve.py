"""The training curve as a small SVG, drawn from its CSV."""

import csv
import math
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 640, 320, 44
SMOOTHING = 15
"""Rows of the CSV over which the drawn line is averaged."""


def draw(curve: Path, picture: Path, *, title: str) -> None:
    """Draw the column "loss" of a curve over the column "step"; the axis of the loss is logarithmic."""
    with curve.open(encoding="ascii", newline="") as file:
        rows = [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    rows = [(step, loss) for step, loss in rows if loss > 0]
    if not rows:
        return
    smooth = [
        (step, sum(loss for _, loss in rows[max(0, i - SMOOTHING) : i + 1]) / (i + 1 - max(0, i - SMOOTHING)))
        for i, (step, _) in enumerate(rows)
    ]
    low, high = min(loss for _, loss in rows), max(loss for _, loss in rows)
    last = rows[-1][0]

    def place(step: float, loss: float) -> str:
        across = MARGIN + (WIDTH - 2 * MARGIN) * step / last
        share = math.log(loss / low) / max(math.log(high / low), 1e-9)
        return f"{across:.1f},{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * share:.1f}"

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{MARGIN}" y="24" font-size="14">{title}</text>',
        f'<polyline fill="none" stroke="#bbbbbb" points="{" ".join(place(*row) for row in rows)}"/>',
        f'<polyline fill="none" stroke="#1f5fa8" stroke-width="2" points="{" ".join(place(*row) for row in smooth)}"/>',
        f'<text x="4" y="{MARGIN + 4}" font-size="11">{high:.2f}</text>',
        f'<text x="4" y="{HEIGHT - MARGIN + 4}" font-size="11">{low:.2f}</text>',
        f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 16}" font-size="11" text-anchor="end">step {last:.0f}</text>',
        f'<text x="{MARGIN}" y="{HEIGHT - 16}" font-size="11">loss (log scale), grey: every row, blue: mean</text>',
        "</svg>",
    ]
    picture.write_text("\n".join(lines) + "\n", encoding="utf-8")
