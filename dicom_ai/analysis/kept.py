"""A finished analysis on disk, until its study is reported: masks as arrays, the rest as JSON.

The image itself is not kept: its files are, and they are read again. What was segmented is checked
against what is read.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from dicom_ai.analysis.series import SeriesAnalysis, read_source
from dicom_ai.domain.findings import Segment, Segmentation, Structure, StructureKind, VertebraLabel
from dicom_ai.domain.model import ModelOffset, ModelReference, ModelRepeatability
from dicom_ai.domain.study import Series
from dicom_ai.errors import UnsuitableImage

_FACTS = "analysis.json"
_MASKS = "masks.npz"
_POINTS = ("centroid_mm", "upper_mm", "lower_mm")


def save(analysis: SeriesAnalysis, folder: Path) -> None:
    """Write an analysis into an existing empty folder."""
    masks = {"labels": analysis.segmentation.labels}
    if analysis.segmentation.soft is not None:
        masks["soft"] = analysis.segmentation.soft
    np.savez_compressed(folder / _MASKS, allow_pickle=False, **masks)
    facts = {
        "rule": analysis.rule,
        "model": asdict(analysis.model),
        "measurements": analysis.measurements,
        "seconds": analysis.seconds,
        "score": analysis.segmentation.score,
        "notes": analysis.segmentation.notes,
        "segments": [asdict(segment) for segment in analysis.segmentation.segments],
        "vertebrae": [_plain(vertebra) for vertebra in analysis.segmentation.vertebrae],
        "offset": asdict(analysis.offset) if analysis.offset else None,
        "repeatability": asdict(analysis.repeatability) if analysis.repeatability else None,
        "frames": [[frame.sop_instance_uid, frame.frame_number] for frame in analysis.source.frames],
    }
    (folder / _FACTS).write_text(json.dumps(facts, indent=1), encoding="utf-8")


def load(folder: Path, series: Series) -> SeriesAnalysis:
    """Read an analysis back, with the series it was made from.

    Raises UnsuitableImage if the series is no longer the one that was analysed.
    """
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    source = read_source(series)
    if [[frame.sop_instance_uid, frame.frame_number] for frame in source.frames] != facts["frames"]:
        raise UnsuitableImage(f"series {series.series_uid}: its images are not those that were analysed")
    with np.load(folder / _MASKS, allow_pickle=False) as masks:
        labels = masks["labels"]
        soft = masks.get("soft")
    return SeriesAnalysis(
        series=series,
        source=source,
        rule=facts["rule"],
        model=ModelReference(**{**facts["model"], "notes": tuple(facts["model"]["notes"])}),
        measurements=tuple(facts["measurements"]),
        segmentation=Segmentation(
            labels=labels,
            segments=tuple(_segment(item) for item in facts["segments"]),
            score=facts["score"],
            soft=soft,
            notes=tuple(facts["notes"]),
            vertebrae=tuple(_vertebra(item) for item in facts["vertebrae"]),
        ),
        seconds=facts["seconds"],
        offset=ModelOffset(**facts["offset"]) if facts.get("offset") else None,
        repeatability=ModelRepeatability(**facts["repeatability"]) if facts.get("repeatability") else None,
    )


def _segment(item: dict) -> Segment:
    structure = item["structure"]
    return Segment(
        number=item["number"],
        structure=Structure(
            kind=StructureKind(structure["kind"]),
            name=structure["name"],
            level=structure["level"],
            code=tuple(structure["code"]) if structure["code"] else None,
        ),
        tracking_id=item["tracking_id"],
        tracking_uid=item["tracking_uid"],
    )


def _plain(vertebra: VertebraLabel) -> dict:
    points = {name: [float(x) for x in getattr(vertebra, name)] for name in _POINTS}
    return asdict(vertebra) | points


def _vertebra(item: dict) -> VertebraLabel:
    return VertebraLabel(**{**item, **{name: np.array(item[name]) for name in _POINTS}})
