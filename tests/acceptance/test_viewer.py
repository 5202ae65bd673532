"""What a radiologist sees in OHIF: the SEG as an overlay, every group of the SR with its numbers."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicom_ai.analysis.batch import Batch
from dicom_ai.dicom.seg_reader import segments_of
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.inference.registry import ModelStore, default_models_folder
from tests.acceptance.archives import orthanc
from tests.acceptance.ohif import drawn_numbers, is_color, look, ohif
from tests.peers import free_port


@pytest.fixture(scope="module")
def viewed(neck, tmp_path_factory):
    """The neck with its results in an archive, and OHIF in front of it."""
    folder = tmp_path_factory.mktemp("viewer")
    rows = Batch(ModelStore(default_models_folder(), device="cpu"), folder, model="spinal-cord").run(neck.files)
    outputs = [Path(path) for row in rows for path in row.outputs if path.endswith(".dcm")]
    with orthanc(folder / "orthanc", node_port=free_port()) as archive:
        archive.upload([*neck.files, *outputs])
        with ohif(archive.url) as address:
            yield address, {dcmread(path).Modality: dcmread(path) for path in outputs}, neck, folder


def test_ohif_shows_the_seg_voxel_for_voxel(viewed):
    address, results, neck, folder = viewed
    seg = results["SEG"]
    source = dcmread(neck.files[0]).SeriesInstanceUID

    seen = look(
        address,
        study=neck.study_uid,
        series=[source, seg.SeriesInstanceUID],
        first=seg.SeriesInstanceUID,
        picture=folder / "seg.png",
        middle=True,
    )

    (shown,) = seen["segmentations"]
    assert shown["segments"] == {"1": "Spinal cord"}
    (cord,) = segments_of(seg)
    assert is_color(shown["colors"]["1"], cord, [cord])
    assert shown["voxels"] == {"1": int(np.count_nonzero(seg.pixel_array))}
    assert (seen["errors"], seen["outside"]) == ([], [])


def test_ohif_shows_every_group_of_the_report(viewed):
    address, results, neck, folder = viewed
    sr = results["SR"]
    source = dcmread(neck.files[0]).SeriesInstanceUID

    seen = look(
        address,
        study=neck.study_uid,
        series=[source, sr.SeriesInstanceUID],
        first=sr.SeriesInstanceUID,
        picture=folder / "sr.png",
    )

    (report,) = seen["reports"]
    findings = read_sr(sr).findings
    assert len(report["measurements"]) == len(findings)
    assert any(item.key == "csa_mean" for finding in findings for item in finding.quantities)
    for finding, drawn in zip(findings, report["measurements"], strict=True):
        assert set(drawn_numbers(finding)) <= set(drawn["labels"])
    assert seen["errors"] == []
