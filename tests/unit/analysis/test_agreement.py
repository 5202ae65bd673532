"""SR, findings.json, CSV, the pages and the PDF agree with measurements/table.py in names, units and every digit."""

import csv
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO

import numpy as np
import pypdfium2
import pytest
from pydicom import dcmread

from dicom_ai.analysis.identities import plan_identities
from dicom_ai.analysis.prior import Earlier
from dicom_ai.analysis.series import analyse_series
from dicom_ai.analysis.study import Terms, report_study
from dicom_ai.dicom.sr_reader import Report, read_sr
from dicom_ai.domain.output import Output
from dicom_ai.measurements.csv_export import TableOrigin, rows_per_slice
from dicom_ai.measurements.table import MEASUREMENTS
from dicom_ai.page.content import COLUMNS
from dicom_ai.web.numbers import csv_text, tables
from tests.predictors import BrightCord
from tests.unit.analysis.conftest import vertebra, write_cord_series

CREATED = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
OUTPUTS = frozenset({Output.SEG, Output.SR, Output.PDF})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The report of a cord with levels beside one that was smaller, and the folder that it was written into."""
    folder = tmp_path_factory.mktemp("agreement")
    series = write_cord_series(folder / "axial")
    image = analyse_series(series, BrightCord()).source.image
    top = float(image.to_mm(np.array([[0, 0, 0], [39, 0, 0]]))[:, 2].max())
    levels = (
        vertebra("C3", upper_mm=top - 4, lower_mm=top - 18),
        vertebra("C4", upper_mm=top - 20, lower_mm=top - 36, number=2),
    )
    analysis = analyse_series(series, BrightCord().with_vertebrae(*levels))
    identities = plan_identities([analysis], run=1, created_at=CREATED, outputs=OUTPUTS)
    before = folder / "before"
    before.mkdir()
    report_study([analysis], [], identities=identities, out=before, complete=True)
    earlier = smaller(read_sr(before / "sr.dcm"), mm2=2.5)
    terms = Terms(find_earlier=lambda _: Earlier(earlier))
    return report_study([analysis], [], identities=identities, out=folder, complete=True, terms=terms), folder


def smaller(report: Report, *, mm2: float) -> Report:
    """Return the report with every mean CSA smaller."""
    findings = tuple(
        replace(
            one, quantities=tuple(replace(n, value=n.value - mm2) if n.key == "csa_mean" else n for n in one.quantities)
        )
        for one in report.findings
    )
    return replace(report, findings=findings)


def in_findings_json(made):
    """Return (site, key, name, value as text, unit) of every number that is given."""
    report, _ = made
    return sorted(
        (finding["site"], number["key"], number["name"], repr(number["value"]), number["unit"])
        for series in report.findings["series"]
        for finding in series["findings"]
        for number in finding["quantities"]
        if number["value"] is not None
    )


def expected(key: str, value: str) -> str:
    return f"{float(value):.{MEASUREMENTS[key].decimals}f}"


def read(key: str, value: str) -> str:
    """Return what people read: a difference has its plus."""
    return MEASUREMENTS[key].text(float(value))


def test_findings_json_holds_to_the_table(made):
    numbers = in_findings_json(made)

    assert {"C3", "C4"} <= {site for site, *_ in numbers}
    assert {("C3", "csa_change", "2.5"), ("C4", "csa_change", "2.5")} <= {
        (site, key, v) for site, key, _, v, _ in numbers
    }
    assert len({key for _, key, *_ in numbers}) > 8
    for site, key, name, value, unit in numbers:
        row = MEASUREMENTS[key]
        assert (name, unit) == (row.displayed_name(site), row.unit)
        assert float(value) == round(float(value), row.decimals)


def test_the_sr_says_what_findings_json_says(made):
    said = sorted(_numbers(dcmread(made[1] / "sr.dcm")))

    assert said == sorted((name, expected(key, value), unit) for site, key, name, value, unit in in_findings_json(made))


def test_the_administrators_page_and_its_csv_say_what_findings_json_says(made):
    findings = read_sr(made[1] / "sr.dcm").findings
    numbers = in_findings_json(made)

    lines = [line for line in csv.DictReader(StringIO(csv_text(findings))) if line["value"]]
    said = sorted((line["site"], line["measurement"], line["value"], line["unit"]) for line in lines)
    assert said == sorted((site, name, expected(key, value), unit) for site, key, name, value, unit in numbers)
    cells = sorted(
        (row.site, cell.text) for table in tables(findings, {}) for row in table.rows for cell in row.cells if cell.text
    )
    assert cells == sorted((site, read(key, value)) for site, key, _, value, _ in numbers)
    assert ("C3", "+2.5") in cells


def test_the_pdf_says_what_findings_json_says(made):
    document = dcmread(made[1] / "page-pdf.dcm")
    pdf = pypdfium2.PdfDocument(document.EncapsulatedDocument[: document.EncapsulatedDocumentLength])
    lines = pdf[0].get_textpage().get_text_bounded().splitlines()
    pdf.close()
    shown = {site: set() for site in ("C3", "C4")}
    for line in lines:
        for site, words in shown.items():
            if line.startswith(f"Spinal cord, {site} "):
                words.update(line.split())

    for site, key, _, value, _ in in_findings_json(made):
        if site in shown and key in COLUMNS:
            assert read(key, value) in shown[site], (site, key)
    assert "+2.5" in shown["C3"]


def test_the_csv_of_slices_averages_to_what_the_report_says(made):
    report, _ = made
    (item,) = report.measured
    rows = rows_per_slice(item.profile, origin=TableOrigin("", "", ""))
    areas = [float(row["MEAN(area)"]) for row in rows if row.get("MEAN(area)")]
    slices = [one["area_mm2"] for one in report.findings["series"][0]["slices"] if one["area_mm2"] is not None]

    assert [round(area, 1) for area in reversed(areas)] == slices
    whole = next(value for site, key, _, value, _ in in_findings_json(made) if site not in "C3C4" and key == "csa_mean")
    assert f"{np.mean(areas):.1f}" == f"{float(whole):.1f}"


def _numbers(item):
    for child in item.get("ContentSequence", []):
        if child.ValueType == "NUM" and child.MeasuredValueSequence:
            measured = child.MeasuredValueSequence[0]
            if child.ConceptNameCodeSequence[0].CodingSchemeDesignator == "99DICOMAI":
                unit = measured.MeasurementUnitsCodeSequence[0].CodeValue
                yield child.ConceptNameCodeSequence[0].CodeMeaning, str(measured.NumericValue), unit
        yield from _numbers(child)
