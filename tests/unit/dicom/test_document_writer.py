"""The page as DICOM: of the right patient and study, whole, and marked for what it is."""

import numpy as np
import pytest
from pydicom import dcmread

from dicom_ai.dicom.document_writer import write_pdf, write_picture
from dicom_ai.dicom.page_headers import identity_lines, series_names, study_lines
from dicom_ai.dicom.source_headers import source_headers
from dicom_ai.domain.result import ResultKind
from tests import builders
from tests.unit.dicom import results

PDF = b"%PDF-1.4 odd"[:11]
PIXELS = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
NAMES = {
    "Japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada Tarou (山田 太郎)"),
    "Greek": ("ISO_IR 126", "Παπαδοπούλου^Μαρία", "Παπαδοπούλου Μαρία"),
    "Latin-1": ("ISO_IR 100", "Müller^Jörg^^Dr.", "Müller Jörg Dr."),
}


def source(folder, **attributes):
    image = results.read(builders.mr_series(IssuerOfPatientID="NORTH", **attributes), folder / "source")
    return image, next(iter(source_headers(image.series).values()))


def pdf_of(image, header):
    return write_pdf(
        PDF, header, identity=results.identity(ResultKind.PDF), models=[results.MODEL], sources=[image.source]
    )


def test_the_pdf_inside_is_whole(tmp_path):
    pdf_of(*source(tmp_path)).save_as(tmp_path / "pdf.dcm", enforce_file_format=True)

    document = dcmread(tmp_path / "pdf.dcm")
    assert document.EncapsulatedDocument[: document.EncapsulatedDocumentLength] == PDF
    assert len(document.EncapsulatedDocument) % 2 == 0
    assert (document.Modality, document.BurnedInAnnotation, document.VerificationFlag) == ("DOC", "YES", "UNVERIFIED")


def test_the_pdf_names_the_images_it_rests_on(tmp_path):
    image, header = source(tmp_path)

    references = {item.ReferencedSOPInstanceUID for item in pdf_of(image, header).SourceInstanceSequence}

    assert references == {frame.sop_instance_uid for frame in image.source.frames}


def test_the_picture_is_kept_to_the_last_pixel(tmp_path):
    _, header = source(tmp_path)
    picture = write_picture(PIXELS, header, identity=results.identity(ResultKind.SC), models=[results.MODEL])
    picture.save_as(tmp_path / "picture.dcm", enforce_file_format=True)

    read = dcmread(tmp_path / "picture.dcm")
    assert np.array_equal(read.pixel_array, PIXELS)
    assert (read.BurnedInAnnotation, read.SeriesDescription) == ("NO", "AI page (RUO)")


@pytest.mark.parametrize("language", NAMES)
def test_names_come_through(language, tmp_path):
    character_set, name, shown = NAMES[language]
    image, header = source(
        tmp_path, SpecificCharacterSet=character_set, PatientName=name, TimezoneOffsetFromUTC="+0900"
    )
    pdf_of(image, header).save_as(tmp_path / "pdf.dcm", enforce_file_format=True)

    document = dcmread(tmp_path / "pdf.dcm")
    assert (document.PatientName, document.IssuerOfPatientID) == (name, "NORTH")
    assert (document.SpecificCharacterSet, document.TimezoneOffsetFromUTC) == ("ISO_IR 192", "+0900")
    assert str(document.ContentTime).startswith("21")
    assert identity_lines(header) == (f"{shown}, ID SYN001, issuer NORTH, born 1970-01-01, sex O",)


def test_what_a_picture_may_say_does_not_name_the_patient(tmp_path):
    image, header = source(tmp_path)

    assert study_lines(header) == ("SPINE, examination of 2026-01-10",)
    assert series_names([image.series]) == {image.series.series_uid: "series 2 t2_tse_tra"}
