"""The test object: nobody can take it for a patient's, and every part of it says so."""

import subprocess
from datetime import datetime
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.dicom.trial_object import trial_object
from tests.peers import need_program

AT = datetime(2026, 1, 2, 3, 4, 5)


def made() -> Dataset:
    return trial_object(at=AT, sender="DICOM_AI")


def test_header_and_picture_say_that_it_is_a_test_and_who_sent_it() -> None:
    dataset = made()

    assert (str(dataset.PatientName), dataset.PatientID) == ("TEST OBJECT^NOT A PATIENT", "DICOM-AI-TEST")
    assert "not a patient" in dataset.StudyDescription
    assert (dataset.StationName, dataset.StudyDate, dataset.StudyTime) == ("DICOM_AI", "20260102", "030405")
    pixels = np.frombuffer(dataset.PixelData, np.uint8).reshape(dataset.Rows, dataset.Columns)
    assert 0.02 < (pixels > 128).mean() < 0.3  # letters, not a blank


def test_each_is_a_study_of_its_own() -> None:
    one, other = made(), made()

    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        assert one[keyword].value != other[keyword].value


def test_it_is_a_secondary_capture_without_fault(tmp_path: Path) -> None:
    made().save_as(tmp_path / "test.dcm", enforce_file_format=True)

    said = subprocess.run(
        [need_program("dciodvfy", package="dicom3tools"), tmp_path / "test.dcm"], capture_output=True, text=True
    )

    assert dcmread(tmp_path / "test.dcm").SOPClassUID.name == "Secondary Capture Image Storage"
    assert [line for line in said.stderr.splitlines() if line.startswith("Error")] == []
