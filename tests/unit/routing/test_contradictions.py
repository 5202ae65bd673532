import tomllib

import pytest

from dicom_ai.routing.contradictions import contradictions, never
from dicom_ai.routing.rule import Rule, parse_rules


def rule(text: str) -> Rule:
    return parse_rules(tomllib.loads(f'[[rule]]\nname = "cord"\nmodel = "m"\n{text}\n')).rules[0]


MR = '{ keyword = "Modality", equals = "MR" }'


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (f'all = [{MR}, {{ keyword = "Modality", equals = "CT" }}]', "all[2]"),
        (f'all = [{MR}, {{ keyword = "Modality", in = ["CT", "DX"] }}]', "all[2]"),
        (f"all = [{MR}]\nnone = [{MR}]", "none[1]"),
        (f'all = [{MR}]\nnone = [{{ keyword = "Modality", in = ["mr", "ct"] }}]', "none[1]"),
        (f'all = [{MR}]\nnone = [{{ keyword = "Modality", exists = true }}]', "none[1]"),
        (f'all = [{MR}, {{ keyword = "Modality", exists = false }}]', "all[2]"),
        ('all = [{ fact = "slices", range = { min = 9, max = 3 } }]', "all[1]"),
        ('all = [{ fact = "slices", range = { min = 9, below = 9 } }]', "all[1]"),
        ('all = [{ fact = "slices", range = { min = 9 } }, { fact = "slices", range = { max = 3 } }]', "all[2]"),
        ('all = [{ keyword = "EchoTime", range = { above = 60 } }, { keyword = "EchoTime", equals = 60 }]', "all[2]"),
        ('all = [{ keyword = "PatientAge", range = { min = "18Y", max = "24M" } }]', "all[1]"),
        ('all = [{ fact = "plane", equals = "saggital" }]', "all[1]"),
        ('any = [{ fact = "plane", equals = "saggital" }, { fact = "contrast", in = ["T3"] }]', "any[1]"),
        ('all = [{ fact = "derived", equals = true }, { fact = "derived", equals = false }]', "all[2]"),
    ],
)
def test_a_rule_that_no_series_can_fulfil_says_where(text: str, place: str) -> None:
    assert [where for where, _ in never(rule(text))] == [place]


@pytest.mark.parametrize(
    "text",
    [
        f"all = [{MR}]",
        'all = [{ keyword = "ImageType", equals = "ORIGINAL" }, { keyword = "ImageType", equals = "PRIMARY" }]',
        f'all = [{MR}]\nnone = [{{ keyword = "Modality", equals = "CT" }}]',
        'all = [{ keyword = "Modality", in = ["MR", "CT"] }]\nnone = [{ keyword = "Modality", equals = "CT" }]',
        'all = [{ fact = "slices", range = { min = 9, max = 9 } }]',
        'all = [{ fact = "slices", range = { min = 3 } }, { fact = "slices", range = { max = 9 } }]',
        'all = [{ fact = "plane", equals = "Sagittal" }]',
        'any = [{ fact = "plane", equals = "saggital" }, { fact = "plane", equals = "axial" }]',
        'all = [{ keyword = "StationName", equals = "mr1" }]\n'
        'none = [{ keyword = "StationName", equals = "MR1", case = true }]',
        'all = [{ keyword = "StationName", equals = "MR1", case = true }]\n'
        'none = [{ keyword = "StationName", equals = "mr1", case = true }]',
    ],
)
def test_a_rule_that_some_series_fulfils_is_not_warned_about(text: str) -> None:
    assert never(rule(text)) == []


def test_a_warning_names_the_rule_and_the_conditions() -> None:
    found = parse_rules(tomllib.loads(f'[[rule]]\nname = "cord"\nmodel = "m"\nall = [{MR}]\nnone = [{MR}]\n'))

    assert contradictions(found) == ["rule 'cord' can never match: Modality equals MR stands under all and under none"]
