"""A result takes over patient and study from one image: the newest, where a study was corrected image by image."""

from pathlib import Path

from pydicom import dcmread

from dicom_ai.dicom.likeness import IDENTITY
from dicom_ai.dicom.source_headers import normalised


def take_over_identity(result: Path, source: Path) -> bool:
    """Write patient and study of an image into a result of its study; False where they were there already."""
    header, dataset = normalised(dcmread(source, stop_before_pixels=True)), dcmread(result)
    changed = False
    for keyword in IDENTITY:
        wanted = header.get(keyword)
        if dataset.get(keyword, "") == ("" if wanted is None else wanted):
            continue
        changed = True
        if wanted is None:
            del dataset[keyword]
        else:
            dataset[keyword] = header[keyword]
    if changed:
        dataset.save_as(result, enforce_file_format=True)
    return changed
