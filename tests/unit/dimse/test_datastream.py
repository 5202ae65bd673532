"""What the skimmer makes of encoded data sets, whole, cut and broken."""

import re
import zlib
from io import BytesIO
from pathlib import Path
from struct import pack

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    MRImageStorage,
)

from dicom_ai.dimse.datastream import Identity, Truncated, identify, is_uid
from dicom_ai.errors import NotDicom

EXPECTED = Identity(
    sop_class_uid=MRImageStorage,
    sop_instance_uid="1.2.3.4",
    study_uid="1.2.3.1",
    series_uid="1.2.3.2",
    patient_id="A 1",
    accession="77",
    modality="MR",
    study_date="20240102",
    manufacturer="Maker",
)


def a_data_set() -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = EXPECTED.sop_class_uid, EXPECTED.sop_instance_uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = EXPECTED.study_uid, EXPECTED.series_uid
    dataset.PatientID, dataset.AccessionNumber = "A 1 ", "77"
    dataset.Modality, dataset.StudyDate, dataset.Manufacturer = "MR", "20240102", "Maker"
    inner = Dataset()
    inner.SOPInstanceUID = "9.9.9"  # what a sequence says is not what the object says
    inner.ReferencedImageSequence = Sequence([Dataset()])
    dataset.ReferencedStudySequence = Sequence([inner])
    return dataset


def written(
    dataset: Dataset, path: Path, *, implicit: bool = False, little: bool = True, undefined: bool = False
) -> Path:
    """Write a data set without group 2; undefined: its sequences and items are delimited, not counted."""
    for sequence in (dataset["ReferencedStudySequence"], dataset.ReferencedStudySequence[0]["ReferencedImageSequence"]):
        sequence.is_undefined_length = undefined
        for item in sequence.value:
            item.is_undefined_length_sequence_item = undefined
    buffer = BytesIO()
    dataset.save_as(buffer, implicit_vr=implicit, little_endian=little)
    path.write_bytes(buffer.getvalue())
    return path


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize(
    ("syntax", "implicit", "little"),
    [
        (ExplicitVRLittleEndian, False, True),
        (ImplicitVRLittleEndian, True, True),
        (ExplicitVRBigEndian, False, False),
    ],
)
def test_an_object_is_identified_in_every_uncompressed_syntax(
    tmp_path: Path, syntax: str, implicit: bool, little: bool, undefined: bool
):
    path = written(a_data_set(), tmp_path / "x", implicit=implicit, little=little, undefined=undefined)

    assert identify(path, start=0, transfer_syntax_uid=syntax) == EXPECTED


def test_a_deflated_object_is_identified(tmp_path: Path):
    plain = written(a_data_set(), tmp_path / "x").read_bytes()
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    path = tmp_path / "y"
    path.write_bytes(packer.compress(plain) + packer.flush())

    assert identify(path, start=0, transfer_syntax_uid=DeflatedExplicitVRLittleEndian) == EXPECTED


def test_what_comes_before_the_data_set_is_passed_over(tmp_path: Path):
    path = written(a_data_set(), tmp_path / "x")
    path.write_bytes(b"meta" * 25 + path.read_bytes())

    assert identify(path, start=100, transfer_syntax_uid=ExplicitVRLittleEndian) == EXPECTED


def test_text_is_decoded_by_the_character_set(tmp_path: Path):
    dataset = a_data_set()
    dataset.SpecificCharacterSet, dataset.PatientID = "ISO_IR 192", "É山"
    path = written(dataset, tmp_path / "x")

    assert identify(path, start=0, transfer_syntax_uid=ExplicitVRLittleEndian).patient_id == "É山"


def test_every_cut_is_seen(tmp_path: Path):
    """Wherever a data set is cut, it is truncated, unless the cut falls between two elements."""
    whole = written(a_data_set(), tmp_path / "x", undefined=True).read_bytes()
    path = tmp_path / "y"
    complete = []
    for length in range(1, len(whole)):
        path.write_bytes(whole[:length])
        try:
            identify(path, start=0, transfer_syntax_uid=ExplicitVRLittleEndian)
            complete.append(length)
        except Truncated:
            continue

    assert len(complete) == len(a_data_set()) - 1


def test_encapsulated_pixels_must_end_with_their_delimiter(tmp_path: Path):
    head = written(a_data_set(), tmp_path / "x").read_bytes()
    fragments = pack("<HHI", 0xFFFE, 0xE000, 0) + pack("<HHI", 0xFFFE, 0xE000, 6) + b"pixels"
    pixels = pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + fragments
    path = tmp_path / "y"

    path.write_bytes(head + pixels + pack("<HHI", 0xFFFE, 0xE0DD, 0))
    assert identify(path, start=0, transfer_syntax_uid=JPEG2000Lossless) == EXPECTED

    path.write_bytes(head + pixels)
    with pytest.raises(Truncated):
        identify(path, start=0, transfer_syntax_uid=JPEG2000Lossless)


def test_a_group_2_inside_the_data_set_is_refused(tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes(pack("<HH2sH4s", 0x0002, 0x0010, b"UI", 4, b"1.2\0"))

    with pytest.raises(NotDicom, match=r"^element \(0002,0010\) has no place in a data set$"):
        identify(path, start=0, transfer_syntax_uid=ExplicitVRLittleEndian)


OPEN_SEQUENCE = pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFF)
OPEN_ITEM = pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
OPEN_PIXELS = pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
MODALITY = pack("<HH2sH", 0x0008, 0x0060, b"CS", 2) + b"MR"
TOO_LONG = pack("<HH2sH", 9, 0x1001, b"LO", 90) + b"x"


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (b"", NotDicom, "the data set is empty"),
        (b"\x08\0\x60", Truncated, "3 bytes are left where an element begins"),
        (MODALITY + b"\x10\0\x20", Truncated, "3 bytes are left where an element begins"),
        (MODALITY[:-1], Truncated, "the value of (0008,0060) ends early"),
        (
            pack("<HH2sH", 9, 0x1001, b"LO", 90) + b"x",
            Truncated,
            "an element of 90 bytes begins 1 bytes before the end",
        ),
        (
            pack("<HH2sH", 0x0008, 0x0060, b"??", 2),
            NotDicom,
            "an element has no known VR where the transfer syntax promises one",
        ),
        (OPEN_SEQUENCE[:-2], Truncated, "the data set ends inside the length of an element"),
        (
            pack("<HH2sHI", 9, 0x1001, b"UT", 0, 0xFFFFFFFF),
            NotDicom,
            "an element that is no sequence has undefined length",
        ),
        (OPEN_SEQUENCE, Truncated, "the data set ends inside a sequence"),
        (OPEN_SEQUENCE + OPEN_ITEM, Truncated, "the data set ends inside an item"),
        (OPEN_SEQUENCE + MODALITY, NotDicom, "a sequence holds something that is no item"),
        (OPEN_PIXELS + OPEN_ITEM, NotDicom, "the fragments of the pixel data are not items"),
        (OPEN_SEQUENCE + (OPEN_ITEM + OPEN_SEQUENCE) * 99, NotDicom, "sequences are nested more than 32 deep"),
    ],
)
def test_what_is_wrong_with_a_data_set_is_said_in_words(tmp_path: Path, data: bytes, kind: type, said: str):
    path = tmp_path / "x"
    path.write_bytes(data)

    with pytest.raises(kind, match=f"^{re.escape(said)}$"):
        identify(path, start=0, transfer_syntax_uid=ExplicitVRLittleEndian)


@pytest.mark.parametrize(
    ("inflated", "kind", "said"),
    [
        (None, NotDicom, "the data set cannot be inflated"),
        (TOO_LONG, Truncated, "the inflated data set ends 89 bytes too early"),
    ],
)
def test_what_is_wrong_with_a_deflated_data_set_is_said_in_words(
    tmp_path: Path, inflated: bytes | None, kind: type, said: str
):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    path = tmp_path / "x"
    path.write_bytes(b"\xff" * 64 if inflated is None else packer.compress(inflated) + packer.flush())

    with pytest.raises(kind, match=f"^{re.escape(said)}$"):
        identify(path, start=0, transfer_syntax_uid=DeflatedExplicitVRLittleEndian)


def test_endless_nesting_is_refused(tmp_path: Path):
    path = tmp_path / "x"
    opening = pack("<HH2sHI", 0x0008, 0x1110, b"SQ", 0, 0xFFFFFFFF) + pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    path.write_bytes(opening * 100_000)

    with pytest.raises(NotDicom, match="nested"):
        identify(path, start=0, transfer_syntax_uid=ExplicitVRLittleEndian)


def test_a_deflated_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dicom_ai.dimse.datastream.LONGEST_INFLATED", 1 << 20)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    element = pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 1 << 24)
    path = tmp_path / "x"
    path.write_bytes(packer.compress(element + bytes(1 << 24)) + packer.flush())

    with pytest.raises(NotDicom, match=r"^the data set inflates to more than 1048576 bytes$"):
        identify(path, start=0, transfer_syntax_uid=DeflatedExplicitVRLittleEndian)


def test_a_length_of_four_gigabytes_costs_nothing(tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes(pack("<HH2sHI", 0x0010, 0x0020, b"UN", 0, 0xFFFFFFFE) + b"A")

    with pytest.raises(Truncated):
        identify(path, start=0, transfer_syntax_uid=ExplicitVRLittleEndian)


@pytest.mark.parametrize("text", ["1.2.840.10008.1.1", "2.25.329800735698586629295641978511506172918", "1.02.3", "1"])
def test_digits_and_dots_name_an_object(text: str):
    assert is_uid(text)


@pytest.mark.parametrize("text", ["", ".", "1.", ".1", "1..2", "../1", "1/2", "1.2\n", "1.2 ", "1.a", "1" * 65, "١.٢"])
def test_nothing_else_does(text: str):
    assert not is_uid(text)
