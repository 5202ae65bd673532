"""The warm-up of the writers: it really writes, and leaves nothing behind."""

from pathlib import Path

from dicom_ai.analysis import warm_up as module
from dicom_ai.analysis.warm_up import warm_up


def test_a_report_is_written_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    written = {}

    def noting(*args, out: Path, **options):
        report = real(*args, out=out, **options)
        written.update({item.identity.slot.split(":")[0]: item.path.stat().st_size for item in report.objects})
        return report

    real = module.report_study
    monkeypatch.setattr(module, "report_study", noting)
    warm_up()

    assert set(written) == {"seg", "sr", "pdf", "picture"}
    assert min(written.values()) > 1000
    assert list(tmp_path.iterdir()) == []
