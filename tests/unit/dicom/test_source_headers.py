"""Headers of sources: whole where the patient is taken from them, brief where only the place is."""

import pytest

from dicom_ai.dicom.source_headers import source_headers
from tests import builders
from tests.unit.dicom import results


@pytest.fixture(params=["series", "files", "data sets"])
def given(request, tmp_path):
    datasets = builders.mr_series(ImageComments="of no use")
    image = results.read(datasets, tmp_path)
    return {"series": image.series, "files": sorted(tmp_path.glob("*.dcm")), "data sets": datasets}[request.param]


def test_all_headers_are_whole_and_without_pixels(given):
    headers = source_headers(given)

    assert len(headers) == 5
    for uid, header in headers.items():
        assert (uid, header.ImageComments) == (header.SOPInstanceUID, "of no use")
        assert "PixelData" not in header
        assert header.SpecificCharacterSet == "ISO_IR 192"


def test_beside_the_whole_one_the_others_only_say_where_they_lie(given):
    first, *others = source_headers(given)

    headers = source_headers(given, whole=first)

    assert headers[first] == source_headers(given)[first]
    complete = source_headers(given)
    for uid in others:
        assert "PatientName" not in headers[uid] and "ImageComments" not in headers[uid]
        for element in headers[uid]:
            assert element.value == complete[uid][element.tag].value
        assert headers[uid].ImagePositionPatient and headers[uid].FrameOfReferenceUID


def test_a_place_that_is_no_number_is_emptied(tmp_path):
    image = results.read(builders.mr_series(origin_mm=(-11.25, 22.5, 33.125)), tmp_path)
    first, second, *_ = source_headers(image.series)
    for path in tmp_path.glob("*.dcm"):
        path.write_bytes(path.read_bytes().replace(b"-11.25", b"-11,25"))

    headers = source_headers(image.series, whole=first)

    assert not headers[first].ImagePositionPatient
    assert not headers[second].ImagePositionPatient
