"""A real lumbar MR in OHIF: every structure that the shipped model found, with its name and its voxels."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicom_ai.analysis.batch import Batch
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.inference.registry import ModelStore, default_models_folder
from tests import builders
from tests.acceptance.archives import orthanc
from tests.acceptance.ohif import look, ohif
from tests.peers import free_port, need_data


@pytest.fixture(scope="module")
def viewed(tmp_path_factory):
    """A sagittal lumbar MR with its results in an archive, and OHIF in front of it."""
    image = need_data("spine_mr", "chu_02_image.nii.gz")
    folder = tmp_path_factory.mktemp("lumbar")
    files = builders.write(sagittal(image), folder / "images")
    rows = Batch(ModelStore(default_models_folder(), device="cpu"), folder / "out", model="spine-mr").run(files)
    outputs = [Path(path) for row in rows for path in row.outputs if path.endswith(".dcm")]
    with orthanc(folder / "orthanc", node_port=free_port()) as archive:
        archive.upload([*files, *outputs])
        with ohif(archive.url) as address:
            yield address, {dcmread(path).Modality: dcmread(path) for path in outputs}, dcmread(files[0]), folder


def sagittal(path: Path) -> list:
    """Return a NIfTI image as sagittal MR images, seen from the left with the head above, of a size as scanners make.

    Of images of an odd number of pixels OHIF 3.13 loses frames (docs/quirks.md).
    """
    image = nibabel.as_closest_canonical(nibabel.load(path))
    values = np.asarray(image.dataobj)[:, ::-1, ::-1].transpose(0, 2, 1)
    rows, columns = (side - side % 8 for side in values.shape[1:])
    values = values[:, :rows, :columns]
    across, down, along = np.array(image.header.get_zooms()[:3])[[0, 2, 1]]
    scaled = np.rint(values * (4000 / values.max())).astype(np.uint16)
    return builders.mr_series(scaled, plane="sagittal", spacing_mm=(float(across), float(down), float(along)))


def opened(viewed, modality: str) -> tuple[Dataset, dict]:
    """Open one of the results over the images; return it and what OHIF made of it."""
    address, results, source, folder = viewed
    result = results[modality]
    seen = look(
        address,
        study=source.StudyInstanceUID,
        series=[source.SeriesInstanceUID, result.SeriesInstanceUID],
        first=result.SeriesInstanceUID,
        picture=folder / f"{modality}.png",
    )
    return result, seen


def test_every_lumbar_vertebra_has_its_name_and_its_voxels(viewed):
    seg, seen = opened(viewed, "SEG")

    (shown,) = seen["segmentations"]
    names = {str(one.SegmentNumber): str(one.SegmentLabel) for one in seg.SegmentSequence}
    assert shown["segments"] == names
    assert sum("vertebra" in name or name.startswith("V") for name in names.values()) >= 5
    numbers = [
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber for frame in seg.PerFrameFunctionalGroupsSequence
    ]
    voxels = {number: 0 for number in names}
    for number, plane in zip(numbers, seg.pixel_array, strict=True):
        voxels[str(number)] += int(np.count_nonzero(plane))
    assert shown["voxels"] == voxels
    assert (seen["errors"], seen["outside"]) == ([], [])


def test_every_group_of_the_lumbar_report_is_shown(viewed):
    report, seen = opened(viewed, "SR")

    (shown,) = seen["reports"]
    assert len(shown["measurements"]) == len(read_sr(report).findings) > 5
    assert seen["errors"] == []
