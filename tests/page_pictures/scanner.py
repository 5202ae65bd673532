"""The images of an examination: formulas of a neck, or a small block with a straight cord of known area."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from dicom_ai.demo.study import ACQUISITIONS, write_neck_study
from dicom_ai.dicom.uids import new_uid
from dicom_ai.imaging.neck_phantom import NeckShape
from tests import builders
from tests.page_pictures.hospital import Case, Examination
from tests.predictors import FULL

SHAPE = (24, 80, 32)
"""Sagittal slices, rows, columns of the small block, 1 mm each."""


def images_of(examination: Examination, folder: Path) -> list[Dataset]:
    """Return the images that the scanner sends."""
    study_uid = new_uid()
    if examination.case in (Case.REAL, Case.EARLIER):
        datasets = _neck(examination, folder)
    elif examination.case is Case.RADIOGRAPH:
        datasets = [builders.radiograph(study_uid=study_uid, SeriesNumber=1, StudyDescription="XR cervical spine")]
    else:
        datasets = [*_localizer(study_uid), *_sagittal(examination, study_uid)]
    for dataset in datasets:
        name(dataset, examination)
    return datasets


def _neck(examination: Examination, folder: Path) -> list[Dataset]:
    earlier = examination.case is Case.EARLIER
    shape = NeckShape() if earlier else NeckShape(squeeze=0.25)
    which = ACQUISITIONS[:1] if earlier else ACQUISITIONS
    study = write_neck_study(folder, now=examination.at, shape=shape, seed=examination.at.month, which=which)
    return [dcmread(path) for path in study.files]


def _sagittal(examination: Examination, study_uid: str) -> Sequence[Dataset]:
    """Return a sagittal T2 of the neck; of a head, where no rule is to take it."""
    head = examination.case is Case.HEAD
    fine = (np.arange(4) + 0.5) / 4 - 0.5
    right = (np.arange(SHAPE[0])[:, None] + fine - (SHAPE[0] - 1) / 2)[:, None, :, None]
    back = (np.arange(SHAPE[2])[:, None] + fine - (SHAPE[2] - 1) / 2)[None, :, None, :]
    share = (np.hypot(right, back) <= examination.radius_mm).mean(axis=(2, 3))  # (slices, columns)
    voxels = np.rint(np.repeat(share[:, None, :], SHAPE[1], axis=1) * FULL).astype(np.uint16)
    return builders.mr_series(
        voxels,
        plane="sagittal",
        spacing_mm=(1.0, 1.0, 1.0),
        origin_mm=((SHAPE[0] - 1) / 2, -(SHAPE[2] - 1) / 2, (SHAPE[1] - 1) / 2),
        study_uid=study_uid,
        SeriesNumber=3,
        SeriesDescription="t2_tse_sag_brain" if head else "t2_space_sag_cspine",
        ProtocolName="t2_tse_sag_brain" if head else "t2_space_sag_cspine",
        BodyPartExamined="BRAIN" if head else "CSPINE",
        StudyDescription="MRI brain" if head else "MRI cervical spine",
        MRAcquisitionType="3D",
    )


def _localizer(study_uid: str) -> Sequence[Dataset]:
    return builders.mr_series(
        study_uid=study_uid,
        SeriesNumber=1,
        SeriesDescription="localizer",
        ProtocolName="localizer",
        ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"],
    )


def name(dataset: Dataset, examination: Examination) -> None:
    """Say in an image whose it is, and of which order."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName, dataset.PatientID = examination.name, examination.patient_id
    dataset.PatientBirthDate, dataset.PatientSex = examination.birth_date, "O"
    dataset.AccessionNumber, dataset.StationName = examination.accession, examination.station
    dataset.Manufacturer = "Formula Scanners"
    model = {"MR1": "Phantom 3T", "MR2": "Phantom 1.5T"}
    dataset.ManufacturerModelName = model.get(examination.station, "Phantom DX")
    dataset.StudyDate, dataset.StudyTime = f"{examination.at:%Y%m%d}", f"{examination.at:%H%M%S}"
    dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = dataset.StudyDate


def of_another_patient(examination: Examination) -> Examination:
    """Return the examination under the name of the patient who was on the table before."""
    return replace(examination, name="Aydın^Esra", number=examination.number + 20)
