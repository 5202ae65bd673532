import pytest
from pydicom.sr.codedict import codes as dictionary

from dicom_ai.anatomy.levels import LEVELS
from dicom_ai.dicom import codes
from dicom_ai.domain.findings import Finding, Quality, Structure, StructureKind
from dicom_ai.measurements.table import MEASUREMENTS


def finding(site: str, level: str | None) -> Finding:
    cord = Structure(StructureKind.SPINAL_CORD, "Spinal cord")
    return Finding(cord, site, level, "1.2", "id", "1.2.3", (), Quality.PASS)


def test_vertebrae_and_discs_are_the_members_of_their_context_groups():
    vertebrae = {code.value for code in dictionary.cid7603.concepts.values()}
    discs = {code.value for code in dictionary.cid7604.concepts.values()}

    assert {code.value for code in codes.VERTEBRAE.values()} == vertebrae
    assert {code.value for code in codes.DISCS.values()} == discs


def test_every_level_has_a_code_that_reads_as_the_level():
    assert [codes.level_code(level).meaning for level in LEVELS] == [f"{level} vertebra" for level in LEVELS]


@pytest.mark.parametrize(
    ("structure", "value", "modifier"),
    [
        (Structure(StructureKind.VERTEBRA, "C3 vertebra", "C3"), "113205007", None),
        (Structure(StructureKind.DISC, "C2/C3 disc", "C2/C3"), "1078209008", None),
        (Structure(StructureKind.VERTEBRA, "L6 vertebra", "L6"), "51282000", "L6"),
        (Structure(StructureKind.VERTEBRA, "V1"), "51282000", None),
        (Structure(StructureKind.VERTEBRA, "S1 vertebra", "S1"), "54735007", "S1"),
        (Structure(StructureKind.DISC, "T13/L1 disc", "T13/L1"), "DISC", "T13-L1"),
        (Structure(StructureKind.OTHER, "Kidney", None, ("64033007", "SCT", "Kidney")), "64033007", None),
    ],
)
def test_an_unlabelled_or_supernumerary_structure_never_gets_an_invented_code(structure, value, modifier):
    private = codes.level_modifier(structure)

    assert codes.structure_code(structure).value == value
    assert (private.value if private else None) == modifier


def test_a_site_reads_as_viewers_shall_show_it():
    assert codes.site_code(finding("C3", "C3")).meaning == "C3 vertebra"
    assert codes.site_code(finding("Spinal cord", None)) == codes.SPINAL_CORD
    assert codes.site_code(finding("20-40 mm below top of cord", None)).meaning == "20-40 mm below top of cord"
    assert codes.site_code(finding("a", None)).value != codes.site_code(finding("b", None)).value


def test_every_measurement_has_a_code_of_its_own_within_the_limits_of_its_vr():
    values = [codes.measurement_value(key) for key in MEASUREMENTS]

    assert len(set(values)) == len(values)
    assert max(map(len, values)) <= 16
    assert all(row.unit in codes.UNITS for row in MEASUREMENTS.values())
    assert all(not row.derivation or row.derivation in codes.DERIVATIONS for row in MEASUREMENTS.values())


def test_no_private_code_is_longer_than_its_vr_allows():
    private = [value for value in vars(codes).values() if isinstance(value, codes.Code)]
    private += [*codes.METHODS.values(), *codes.QUALITY_VALUES.values()]

    assert all(len(code.value) <= 16 and len(code.meaning) <= 64 for code in private)
    assert len({code.value for code in private}) == len({(code.value, code.meaning) for code in private})


def test_a_long_site_is_shortened_to_what_a_meaning_can_hold():
    assert len(codes.site_code(finding("x" * 80, None)).meaning) == 64


def test_a_key_that_makes_too_long_a_code_is_refused():
    with pytest.raises(ValueError, match="shorten a word"):
        codes.measurement_value("an_extraordinarily_long_key")
