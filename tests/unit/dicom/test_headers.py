from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import dcmwrite, write_dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from dicom_ai.dicom.headers import instance_from_dataset, read_instance, read_paths
from dicom_ai.dicom.uids import is_valid_uid
from dicom_ai.domain.study import Element
from dicom_ai.errors import DicomAiError, MissingIdentity, NotDicom
from tests import builders


def test_a_classic_image_gives_identity_text_and_geometry(tmp_path):
    ds = builders.mr_series(plane="sagittal", spacing_mm=(3.3, 0.5, 0.6), origin_mm=(1, 2, 3))[0]

    instance = read_instance(builders.write(ds, tmp_path)[0])

    assert instance.sop_instance_uid == ds.SOPInstanceUID
    assert instance.sop_class_uid == "1.2.840.10008.5.1.4.1.1.4"
    assert instance.transfer_syntax_uid == "1.2.840.10008.1.2.1"
    assert instance.header["ImageType"] == Element("CS", ("ORIGINAL", "PRIMARY", "M", "NORM"))
    assert instance.header["EchoTime"] == Element("DS", ("90",))
    assert instance.header["Rows"] == Element("US", ("24",))
    assert instance.frames[0].position_mm == (1, 2, 3)
    assert instance.frames[0].row_direction == (0, 1, 0)
    assert instance.frames[0].column_direction == (0, 0, -1)
    assert instance.frames[0].pixel_spacing_mm == (0.5, 0.6)


def test_an_empty_element_has_no_values_and_an_absent_one_is_not_there(tmp_path):
    ds = builders.mr_series(BodyPartExamined="", ProtocolName=None)[0]

    header = read_instance(builders.write(ds, tmp_path)[0]).header

    assert header["BodyPartExamined"].values == ()
    assert "ProtocolName" not in header
    assert "PixelData" not in header


def test_a_header_is_the_same_from_memory_and_from_a_file(tmp_path):
    ds = builders.enhanced_mr(RescaleSlope="1.50")

    from_file = read_instance(builders.write(ds, tmp_path)[0])

    assert instance_from_dataset(ds).header == from_file.header
    assert instance_from_dataset(ds).frames == from_file.frames


def test_an_enhanced_object_speaks_in_classic_words(tmp_path):
    ds = builders.enhanced_mr(frame_order=(2, 1, 0, 3, 4), spacing_mm=(4, 1, 1), origin_mm=(0, 0, 0))

    instance = read_instance(builders.write(ds, tmp_path)[0])

    assert [frame.position_mm[2] for frame in instance.frames] == [8, 4, 0, 12, 16]
    assert instance.header["EchoTime"].text == "90"
    assert instance.header["ReceiveCoilName"].text == "HeadNeck"
    assert instance.header["AnatomicRegionSequence"] == Element("SQ", ("Cervical spine",))
    assert instance.header["PixelSpacing"].values == ("1", "1")
    assert "ImagePositionPatient" not in instance.header


def test_values_that_differ_between_frames_are_not_in_the_header_of_the_object():
    instance = instance_from_dataset(builders.enhanced_mr(echo_times_ms=(20, 40)))

    assert "EchoTime" not in instance.header
    assert len(instance.frames) == 10


def test_code_sequences_are_lifted_as_their_meanings():
    ds = builders.radiograph()
    request = builders.code_item("1", "L", "XR C-spine")
    ds.ProcedureCodeSequence = [request]
    ds.RequestAttributesSequence = [builders.code_item("1", "L", "unused")]
    ds.RequestAttributesSequence[0].RequestedProcedureDescription = "Neck pain films"

    header = instance_from_dataset(ds).header

    assert header["ProcedureCodeSequence"] == Element("SQ", ("XR C-spine",))
    assert header["ViewCodeSequence"] == Element("SQ", ("left lateral",))
    assert header["RequestedProcedureDescription"].text == "Neck pain films"


def test_a_radiograph_has_no_frames_in_the_patient():
    assert instance_from_dataset(builders.radiograph()).frames == ()


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        ("ISO_IR 100", "Grüße^Änne"),
        ("ISO_IR 126", "Διονυσιος"),
        ("ISO_IR 192", "山田^太郎"),
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    ],
)
def test_names_are_read_in_their_character_set(tmp_path, charset, name):
    ds = builders.mr_series(SpecificCharacterSet=charset, PatientName=name, SeriesDescription="t2")[0]

    header = read_instance(builders.write(ds, tmp_path)[0]).header

    assert header["PatientName"].text == name


@pytest.mark.filterwarnings("ignore:.*[Ee]ncoding:UserWarning")
@pytest.mark.filterwarnings("ignore:.*Specific Character Set:UserWarning")
@pytest.mark.parametrize("charset", ["ISO_IR_100", "NONSENSE 1", "ISO_IR 192"])
def test_an_odd_character_set_does_not_stop_the_reading(tmp_path, charset):
    [path] = builders.write(builders.mr_series(SeriesDescription="t2 \xe9")[0], tmp_path)
    data = path.read_bytes().replace(b"ISO_IR 192", charset.encode().ljust(10)[:10]).replace(b"\xc3\xa9", b"\xe9 ")
    path.write_bytes(data)

    assert read_instance(path).header["SeriesDescription"].text.startswith("t2 ")


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_a_missing_identity_is_named(tmp_path, keyword):
    [path] = builders.write(builders.mr_series()[0], tmp_path)
    ds = dcmread(path)
    del ds[keyword]
    dcmwrite(path, ds)

    with pytest.raises(MissingIdentity, match=keyword):
        read_instance(path)


@pytest.mark.parametrize("value", ["../../etc/passwd", "1.2.3/4", "..", "Doe^John"])
def test_a_path_like_uid_is_refused_without_repeating_it(value):
    ds = builders.mr_series()[0]
    ds["StudyInstanceUID"]._value = value

    with pytest.raises(MissingIdentity, match="StudyInstanceUID") as refusal:
        instance_from_dataset(ds)

    assert value not in str(refusal.value)


def test_a_file_without_preamble_is_read_in_either_encoding(tmp_path):
    ds = builders.mr_series()[0]
    for name, implicit in (("explicit", False), ("implicit", True)):
        buffer = DicomBytesIO()
        buffer.is_implicit_VR, buffer.is_little_endian = implicit, True
        write_dataset(buffer, ds)
        (tmp_path / name).write_bytes(buffer.getvalue())

    assert read_instance(tmp_path / "explicit").transfer_syntax_uid == "1.2.840.10008.1.2.1"
    assert read_instance(tmp_path / "implicit").transfer_syntax_uid == "1.2.840.10008.1.2"
    assert read_instance(tmp_path / "implicit").header == read_instance(tmp_path / "explicit").header


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_other_transfer_syntaxes_give_the_same_header(tmp_path, syntax):
    ds = builders.mr_series()[0]
    explicit = instance_from_dataset(ds)
    ds.file_meta.TransferSyntaxUID = syntax

    instance = read_instance(builders.write(ds, tmp_path)[0])

    assert instance.transfer_syntax_uid == syntax
    assert instance.header == explicit.header


@pytest.mark.parametrize("lost", [1, 7, 100, 1500])
def test_a_truncated_file_is_refused(tmp_path, lost):
    [path] = builders.write(builders.mr_series()[0], tmp_path)
    path.write_bytes(path.read_bytes()[:-lost])

    with pytest.raises(NotDicom, match="truncated"):
        read_instance(path)


@pytest.mark.parametrize("lost", [1, 8, 20])
def test_a_truncated_compressed_file_is_refused(tmp_path, lost):
    ds = builders.mr_series()[0]
    ds.compress(RLELossless)
    [path] = builders.write(ds, tmp_path)
    read_instance(path)
    path.write_bytes(path.read_bytes()[:-lost])

    with pytest.raises(NotDicom, match="truncated"):
        read_instance(path)


def test_bytes_that_are_not_dicom_are_refused(tmp_path):
    for name, data in {"empty": b"", "text": b"hello " * 99, "png": b"\x89PNG\r\n\x1a\n" + bytes(400)}.items():
        (tmp_path / name).write_bytes(data)

        with pytest.raises(NotDicom):
            read_instance(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(NotDicom, match="No such file"):
        read_instance(tmp_path / "absent.dcm")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_random_bytes_never_raise_anything_else(tmp_path, data):
    path: Path = tmp_path / "fuzz"
    path.write_bytes(bytes(128) + b"DICM" + data)

    with pytest.raises(DicomAiError):
        read_instance(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(132, 1400), byte=st.integers(0, 255))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_one_wrong_byte_leaves_an_identity_that_can_be_used_or_a_reason_without_the_patient(tmp_path, place, byte):
    [path] = builders.write(builders.mr_series()[0], tmp_path)
    data = bytearray(path.read_bytes())
    data[place] = byte
    path.write_bytes(data)

    try:
        instance = read_instance(path)
    except DicomAiError as error:
        assert "Phantom" not in str(error)
    else:
        assert is_valid_uid(instance.sop_instance_uid)
        assert is_valid_uid(instance.header["StudyInstanceUID"].text)
        assert is_valid_uid(instance.header["SeriesInstanceUID"].text)


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"])
def test_without_any_part_of_it_there_is_no_geometry(keyword):
    ds = builders.mr_series(**{keyword: None})[0]

    assert instance_from_dataset(ds).frames == ()


def test_numbers_that_are_no_numbers_are_kept_as_text(tmp_path):
    [path] = builders.write(builders.mr_series(EchoTime="12.345")[0], tmp_path)
    path.write_bytes(path.read_bytes().replace(b"12.345", b"abc,de"))

    assert read_instance(path).header["EchoTime"].text == "abc,de"


def test_a_folder_becomes_series_in_a_stable_order(tmp_path):
    first, second = builders.mr_series(), builders.radiograph()
    builders.write(first, tmp_path / "a" / "deep")
    builders.write(second, tmp_path / "b")
    (tmp_path / "readme.txt").write_text("not an image, but long enough to look like one" * 9)

    scan = read_paths([tmp_path])

    assert [series.series_uid for series in scan.series] == [first[0].SeriesInstanceUID, second.SeriesInstanceUID]
    assert [i.sop_instance_uid for i in scan.series[0].instances] == [ds.SOPInstanceUID for ds in first]
    assert [(path.name, reason) for path, reason in scan.unreadable] == [("readme.txt", "readme.txt: not a DICOM file")]


def test_the_same_instance_twice_is_read_once_and_said(tmp_path):
    ds = builders.radiograph()
    builders.write([ds, ds], tmp_path)

    scan = read_paths([tmp_path])

    assert len(scan.series[0].instances) == 1
    assert "same SOP Instance UID as 0000.dcm" in scan.unreadable[0][1]


def test_a_dicomdir_is_skipped(tmp_path):
    ds = builders.radiograph(SOPClassUID="1.2.840.10008.1.3.10")
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    builders.write(ds, tmp_path)

    scan = read_paths([tmp_path])

    assert scan.series == ()
    assert "DICOMDIR" in scan.unreadable[0][1]


def test_binary_numbers_are_read_in_their_sign_and_byte_order(tmp_path):
    ds = builders.mr_series(np.zeros((1, 4, 4)), signed=True, SmallestImagePixelValue=-5)[0]

    header = read_instance(builders.write(ds, tmp_path)[0]).header

    assert header["SmallestImagePixelValue"] == Element("SS", ("-5",))
