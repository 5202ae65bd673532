from copy import deepcopy

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from dicom_ai.dicom.headers import instance_from_dataset
from dicom_ai.dicom.uids import new_uid
from dicom_ai.domain.study import Series
from dicom_ai.routing.candidate import candidate_of
from dicom_ai.routing.own import MARKS, RESULT_CLASSES, own_or_result
from tests.unit.routing.headers import MR_CLASS, mr, series

MADE_HERE = {
    "Manufacturer": "dicom_ai",
    "ManufacturerModelName": "dicom_ai",
    "SoftwareVersions": "dicom_ai 0.1.0\\spinal-cord 0.1.0",
    "SeriesDescription": "AI Spine (RUO) run 2, replaces run 1",
}


def own_copy(**left: object) -> Dataset:
    """A picture of ours that claims to be an MR image, with only some of its marks left."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = MR_CLASS, new_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = new_uid(), new_uid()
    dataset.Modality = "MR"
    for keyword, value in left.items():
        setattr(dataset, keyword, value)
    return dataset


def reason(dataset: Dataset) -> str:
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    instance = instance_from_dataset(dataset)
    return own_or_result(candidate_of(Series("1.2", "1.2.3", (instance,))))


def item(keyword: str, value: str) -> Dataset:
    found = Dataset()
    setattr(found, keyword, value)
    return found


@pytest.mark.parametrize("keyword", MADE_HERE)
def test_one_mark_that_an_anonymiser_left_is_enough(keyword: str) -> None:
    assert reason(own_copy(**{keyword: MADE_HERE[keyword]})).startswith(f"made by this product ({keyword} ")


@pytest.mark.parametrize("name", ["dicom-ai", "DICOM_AI", "Dicom AI"])
def test_the_name_is_known_however_it_is_written(name: str) -> None:
    assert own_or_result(candidate_of(series(Modality="MR", Manufacturer=name)))


def test_the_coding_scheme_of_this_product_tells_it() -> None:
    dataset = own_copy()
    dataset.CodingSchemeIdentificationSequence = [item("CodingSchemeDesignator", "99DICOMAI")]

    assert reason(dataset) == "made by this product (CodingSchemes '99DICOMAI')"


def test_a_converter_that_put_its_own_name_first_left_ours_among_the_contributing_equipment() -> None:
    dataset = own_copy(Manufacturer="Converter Inc.")
    dataset.ContributingEquipmentSequence = [item("Manufacturer", "Highdicom"), item("Manufacturer", "dicom_ai")]

    assert "ContributingManufacturers" in reason(dataset)


@pytest.mark.parametrize(("beginning", "what"), RESULT_CLASSES)
def test_a_result_is_known_by_its_class_whatever_its_modality_says(beginning: str, what: str) -> None:
    result = series(sop_class=f"{beginning}4" if beginning.endswith(".") else beginning, Modality="MR")

    assert what in own_or_result(candidate_of(result))


def test_what_a_scanner_made_is_no_result() -> None:
    scan = mr("AI denoised t2 sag", Manufacturer="SIEMENS", SoftwareVersions="syngo MR XA30", ManufacturerModelName="x")

    assert own_or_result(candidate_of(scan)) == ""
    assert {mark.keyword for mark in MARKS} >= set(MADE_HERE)
    assert reason(deepcopy(own_copy(SeriesDescription="t2_sag"))) == ""
