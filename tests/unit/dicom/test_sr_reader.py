import pytest

from dicom_ai.dicom.sr_reader import ForeignReport, read_sr
from dicom_ai.domain.findings import Quality, Quantity, Structure, StructureKind
from dicom_ai.errors import NotDicom
from tests import builders
from tests.unit.dicom import results


def same(read, written) -> bool:
    plain = {"structure", "site", "site_level", "series_uid", "tracking_id", "tracking_uid", "quantities", "quality"}
    return all(getattr(read, name) == getattr(written, name) for name in plain | {"notes"})


def test_a_report_read_back_says_what_was_written(tmp_path):
    image = results.read(builders.mr_series(), tmp_path / "source")
    written = (
        results.finding(image, "C3", "C3", notes=("one note",)),
        results.finding(image, "C2-C3 (levels pooled)", None),
        results.finding(image, "Spinal cord", None),
        results.finding(image, "L6", "L6", structure=Structure(StructureKind.VERTEBRA, "L3 vertebra", "L3")),
        results.finding(image, "C2/C3", "C2/C3", structure=Structure(StructureKind.DISC, "C2/C3 disc", "C2/C3")),
    )
    path = tmp_path / "sr.dcm"
    results.report(image, *written, notes=["a study note"]).save_as(path, enforce_file_format=True)

    report = read_sr(path, [image.source])

    assert all(same(read, original) for read, original in zip(report.findings, written, strict=True))
    assert [finding.contour.slice_index for finding in report.findings if finding.contour] == [2] * 5
    assert (report.findings[0].contour.points == results.SQUARE).all()
    assert report.notes == ("a study note",)
    assert report.models == (("spinal-cord", "1.0.0"),)
    assert report.complete


def test_missing_numbers_come_back_with_their_reasons(tmp_path):
    image = results.read(builders.mr_series(), tmp_path)
    numbers = Quantity("csa_mean", None, "cut (by the edge)"), Quantity("csa_z", None, "T1w; not T2w")
    finding = results.finding(image, "C5", "C5", quantities=numbers, quality=Quality.FAIL, contour=None, notes=("n",))

    [read] = read_sr(results.report(image, finding)).findings

    assert read.quantities == numbers
    assert read.notes == ("n",)
    assert read.contour is None
    assert read.series_uid == image.series.series_uid


def test_a_report_without_findings_gives_its_reason(tmp_path):
    image = results.read(builders.mr_series(), tmp_path)

    report = read_sr(results.report(image, notes=["no cord found"], complete=False))

    assert (report.findings, report.notes, report.complete) == ((), ("no cord found",), False)


def test_reports_of_others_are_refused(tmp_path):
    with pytest.raises(ForeignReport):
        read_sr(builders.write(builders.mr_series()[0], tmp_path)[0])


def test_a_damaged_report_of_ours_is_refused(tmp_path):
    image = results.read(builders.mr_series(), tmp_path)
    report = results.report(image, results.finding(image, "C3", "C3"))
    del report.CompletionFlag

    with pytest.raises(NotDicom):
        read_sr(report)


def test_a_file_that_is_no_dicom_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(b"no")

    with pytest.raises(NotDicom):
        read_sr(tmp_path / "x")
