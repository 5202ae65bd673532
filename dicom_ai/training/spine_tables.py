"""The tables of the spine model's card, made of the rows of an evaluation: n and the worst case beside every mean."""

from collections.abc import Callable, Iterator, Sequence
from statistics import fmean
from typing import Any

Row = dict[str, Any]

ANSWERS = ("right", "wrong", "withheld")
NECKS = "formula"
"""Source of the rows that are no people's."""


def case_table(rows: Sequence[Row]) -> list[str]:
    """Return one line per whole case."""
    lines = _head("image", "seen in training", "structures", "mean Dice", "worst", "surface", "HD95", *ANSWERS)
    for row in _people(rows):
        if not row["crop"]:
            lines.append(
                f"| {row['image']} | {'yes' if row['seen'] else 'no'} | {row['structures']} | {row['dice_mean']:.3f} | "
                f"{row['dice_worst']:.3f} ({row['worst']}) | {_mm(row['surface_mm'])} | {_mm(row['hd95_mm'])} | "
                f"{row['right']} | {row['wrong']} | {row['withheld']} |"
            )
    return lines


def structure_table(rows: Sequence[Row]) -> list[str]:
    """Return one line per source and structure, and one for all of a source, of whole cases nobody trained on."""
    lines = _head("source", "structure", "n", "Dice", "surface", "HD95", *ANSWERS)
    fresh = [row for row in _people(rows) if not row["crop"] and not row["seen"]]
    for source in sorted({row["source"] for row in fresh}):
        parts = [part | {"image": row["image"]} for row in fresh if row["source"] == source for part in row["parts"]]
        for level in dict.fromkeys(part["level"] for part in parts):
            lines.append(_parts_line(source, level, [part for part in parts if part["level"] == level]))
        lines.append(_parts_line(source, "all", parts))
    return lines


def crop_table(rows: Sequence[Row]) -> list[str]:
    """Return one line per crop and source of cases nobody trained on: the right answer is no level."""
    lines = _head("crop", "source", "cases", "vertebrae found", "no vertebra found in", "levels named", "worst case")
    fresh = [row for row in rows if row["crop"] and not row["seen"]]
    for crop, source in dict.fromkeys((row["crop"], row["source"]) for row in fresh):
        own = [row for row in fresh if (row["crop"], row["source"]) == (crop, source)]
        worst = max(own, key=lambda row: int(row["false_levels"]))
        lines.append(
            f"| {crop} | {source} | {len(own)} | {sum(row['structures'] for row in own)} | "
            f"{sum(not row['structures'] for row in own)} | {sum(row['false_levels'] for row in own)} | "
            f"{worst['image'] if worst['false_levels'] else 'none'} |"
        )
    return lines


def neck_table(rows: Sequence[Row]) -> list[str]:
    """Return one line per neck made from formulas; a vertebra that is missed is withheld, too."""
    lines = _head("neck", "levels", *ANSWERS, "missed")
    for row in rows:
        if row["source"] == NECKS:
            counts = " | ".join(str(row[key]) for key in ("structures", *ANSWERS, "missed"))
            lines.append(f"| {row['image']} | {counts} |")
    return lines


def _people(rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if row["source"] != NECKS]


def _parts_line(source: str, name: str, parts: Sequence[Row]) -> str:
    counts = " | ".join(str(sum(part["answer"] == answer for part in parts)) for answer in ANSWERS)
    measured = [part for part in parts if part["surface_mm"] is not None]
    cells = [
        f"{fmean(part['dice'] for part in parts):.3f} ({_worst(parts, 'dice', min, '.3f')})",
        *(_mean_and_worst(measured, key) for key in ("surface_mm", "hd95_mm")),
    ]
    return f"| {source} | {name} | {len(parts)} | {' | '.join(cells)} | {counts} |"


def _mean_and_worst(parts: Sequence[Row], key: str) -> str:
    if not parts:
        return "-"
    return f"{fmean(part[key] for part in parts):.2f} mm ({_worst(parts, key, max, '.2f')})"


def _worst(parts: Sequence[Row], key: str, pick: Callable[..., Row], digits: str) -> str:
    part = pick(parts, key=lambda part: part[key])
    return f"{part[key]:{digits}}, {part['image']}"


def _head(*names: str) -> list[str]:
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]


def _mm(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} mm"


def sections(metrics: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the scores of a card: cases, structures, crops, and what they come to."""
    rows = metrics["rows"]
    yield from [*case_table(rows), "", *(f"- {note}" for note in metrics["notes"])]
    if any(row.get("parts") for row in rows):
        yield from ["", "Each structure; the worst case stands in brackets:", "", *structure_table(rows)]
    if any(row["crop"] for row in rows):
        yield from ["", "Cropped so that neither C2 nor the sacrum is in view; no level is the only right answer:", ""]
        yield from crop_table(rows)
    if any(row["source"] == NECKS for row in rows):
        yield from ["", "Necks made from formulas (`training/spine_necks.py`), which no training shows:", ""]
        yield from neck_table(rows)
