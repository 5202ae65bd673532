"""One finding as one measurement group, TID 1410: a closed outline on a source image, coded site, numbers, verdict.

Every group has an outline: one group without makes OHIF drop the whole report (PS3.16 TID 1500 would allow it).
"""

from collections.abc import Sequence

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    FindingSite,
    GraphicTypeValues,
    ImageRegion,
    Measurement,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_ai.dicom import codes as our
from dicom_ai.domain.findings import Contour, Finding, Quantity
from dicom_ai.domain.image import Radiograph, SourceImage
from dicom_ai.domain.model import ModelReference
from dicom_ai.measurements.table import MEASUREMENTS

NOT_MEASURED = ": not measured"
"""Stands between the names of missing numbers and the reason in brackets; sr_reader looks for it."""

CHANGES = ("csa_change", "csa_change_percent", "csa_prior")
DRAWN_FIRST = ("csa_mean", "csa_slice", *CHANGES, "csa_sd", "csa_min", "csa_max")
"""The numbers that a viewer with room for five (OHIF 3.13) shall draw; the others follow in the finding's order."""

_LONGEST_TEXT = 1024
_CENTER_OF_FIRST_PIXEL = 0.5  # PS3.3 C.10.5

Group = PlanarROIMeasurementsAndQualitativeEvaluations


def measurement_group(finding: Finding, source: SourceImage, *, model: ModelReference | None) -> Group:
    """Return the group of a finding. source: the image its outline lies on.

    A finding without an outline gets the border of the middle slice, said to be the image that was searched.
    """
    contour, meaning = _outline(finding, source)
    frame = source.frames[contour.slice_index]
    region = ImageRegion(
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=np.asarray(contour.points, np.float32),
        source_image=SourceImageForRegion(
            frame.sop_class_uid,
            frame.sop_instance_uid,
            referenced_frame_numbers=None if frame.frame_number is None else [frame.frame_number],
        ),
    )
    group = Group(
        tracking_identifier=TrackingIdentifier(uid=finding.tracking_uid, identifier=finding.tracking_id),
        referenced_region=region,
        finding_type=our.structure_code(finding.structure),
        finding_sites=[FindingSite(anatomic_location=our.site_code(finding))],
        algorithm_id=algorithm(model) if model else None,
        measurements=[_measurement(quantity, finding.site) for quantity in _in_drawn_order(finding.quantities)],
        qualitative_evaluations=[
            QualitativeEvaluation(our.QUALITY, our.QUALITY_VALUES[finding.quality]),
            QualitativeEvaluation(our.OUTLINE, meaning),
            *([QualitativeEvaluation(our.CHANGE, our.CHANGE_VALUES[finding.change])] if finding.change else []),
        ],
    )
    group[0].ContentSequence.extend(comment(text) for text in _sentences(finding))
    return group


def algorithm(model: ModelReference) -> AlgorithmIdentification:
    """Return the identification of a model, TID 4019."""
    return AlgorithmIdentification(
        name=model.name,
        version=model.version,
        parameters=[f"family={model.family}", f"sha256={model.digest}"] if model.digest else None,
        family=codes.DCM.ArtificialIntelligence,
    )


def comment(text: str, *, name: Code = codes.DCM.Comment) -> TextContentItem:
    """Return a sentence for the reader."""
    return TextContentItem(name=name, value=text[:_LONGEST_TEXT], relationship_type=RelationshipTypeValues.CONTAINS)


def empty_failed_numbers(report: Dataset) -> None:
    """Take the value out of every NUM that is qualified as a failed measurement (PS3.3 C.18.1); highdicom cannot."""
    for item in report.get("ContentSequence", []):
        qualifiers = item.get("NumericValueQualifierCodeSequence")
        if qualifiers and qualifiers[0].CodeValue == codes.DCM.MeasurementFailure.value:
            item.MeasuredValueSequence = Items()
        empty_failed_numbers(item)


def frame_shape(source: SourceImage) -> tuple[int, int]:
    """Return (rows, columns) of a frame."""
    if isinstance(source.image, Radiograph):
        rows, columns = source.image.pixels.shape
    else:
        _, rows, columns = source.image.shape
    return rows, columns


def _outline(finding: Finding, source: SourceImage) -> tuple[Contour, Code]:
    if finding.contour is None:
        return _searched(source), our.OUTLINE_SEARCHED
    _check_outline(finding.contour, source)
    return finding.contour, our.OUTLINE_LOCATES if finding.contour.locates_only else our.OUTLINE_MEASURED


def _searched(source: SourceImage) -> Contour:
    rows, columns = frame_shape(source)
    low, right, bottom = _CENTER_OF_FIRST_PIXEL, columns - 0.5, rows - 0.5
    corners = np.array([[low, low], [right, low], [right, bottom], [low, bottom], [low, low]])
    return Contour(source.series_uid, len(source.frames) // 2, corners, locates_only=True)


def _check_outline(contour: Contour, source: SourceImage) -> None:
    rows, columns = frame_shape(source)
    points = np.asarray(contour.points)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 4 or not np.array_equal(points[0], points[-1]):
        raise ValueError(f"an outline of shape {points.shape} where (n >= 4, 2), closed, is needed")
    if not np.isfinite(points).all() or points.min() < 0 or (points.max(axis=0) > (columns, rows)).any():
        raise ValueError(f"an outline that leaves its image of {rows} x {columns}")
    if not 0 <= contour.slice_index < len(source.frames):
        raise ValueError(f"an outline on slice {contour.slice_index} of {len(source.frames)}")


def _in_drawn_order(quantities: Sequence[Quantity]) -> list[Quantity]:
    places = {key: place for place, key in enumerate(DRAWN_FIRST)}
    return sorted(quantities, key=lambda quantity: places.get(quantity.key, len(places)))


def _measurement(quantity: Quantity, site: str) -> Measurement:
    row = MEASUREMENTS[quantity.key]
    measurement = Measurement(
        name=CodedConcept.from_code(our.measurement_code(row, site)),
        value=quantity.value or 0.0,
        unit=our.UNITS[row.unit],
        qualifier=codes.DCM.MeasurementFailure if quantity.value is None else None,
        derivation=our.DERIVATIONS.get(row.derivation),
        method=our.METHODS.get(row.concept),
    )
    measured = measurement[0].MeasuredValueSequence[0]
    measured.NumericValue = row.digits(quantity.value or 0.0)  # highdicom writes 12 as 12.0
    measured.pop("FloatingPointValue", None)
    return measurement


def _sentences(finding: Finding) -> Sequence[str]:
    """Return the finding's notes, and why numbers are missing, each reason once."""
    reasons: dict[str, list[str]] = {}
    for quantity in finding.quantities:
        if quantity.value is None:
            name = MEASUREMENTS[quantity.key].displayed_name(finding.site)
            reasons.setdefault(quantity.reason or "no reason given", []).append(name)
    missing = [f"{'; '.join(names)}{NOT_MEASURED} ({reason})" for reason, names in reasons.items()]
    return [*finding.notes, *missing]
