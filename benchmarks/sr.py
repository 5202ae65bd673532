"""How long the report of 30 findings with 10 numbers takes, against highdicom's own constructors in the same process.

highdicom: the same groups and the same content by highdicom's classes alone, without our library, checks and marks.
First use: the first report, SEG and page of a fresh process, with and without the warm-up that a worker does.

python benchmarks/sr.py
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from dicom_ai.analysis.warm_up import warm_up
from dicom_ai.dicom import codes as our
from dicom_ai.dicom.source_headers import source_headers
from dicom_ai.dicom.sr_groups import algorithm, comment
from dicom_ai.dicom.sr_observer import device_observer
from dicom_ai.dicom.sr_writer import Evidence, report_header, write_sr
from dicom_ai.domain.findings import Finding, Quantity
from dicom_ai.domain.result import ResultKind
from dicom_ai.measurements.table import MEASUREMENTS
from tests import builders
from tests.unit.dicom import results

GROUPS, NUMBERS = 30, 10
FIRST_USE = """
import sys, time
from benchmarks.sr import first_use
first_use(warm=sys.argv[1] == "warm")
"""


def findings_of(image: results.Read) -> list[Finding]:
    """Return findings at 30 sites, 10 numbers each."""
    keys = [key for key, row in MEASUREMENTS.items() if row.unit in our.UNITS][:NUMBERS]
    quantities = tuple(Quantity(key, 10.0 + place) for place, key in enumerate(keys))
    return [results.finding(image, f"S{number}", None, quantities=quantities) for number in range(GROUPS)]


def by_highdicom(image: results.Read, findings: list[Finding]) -> Dataset:
    """Return the report as highdicom's constructors make it of the same findings."""
    header = next(iter(source_headers(image.series).values()))
    groups = [_group(finding, image) for finding in findings]
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device_observer()),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=groups,
        title=codes.DCM.ImagingMeasurementReport,
    )
    named = results.identity(ResultKind.SR)
    images = list(source_headers(image.series).values())
    return hd.sr.Comprehensive3DSR(
        evidence=[header, *images[1:]],
        content=content,
        series_instance_uid=named.series_uid,
        series_number=1,
        sop_instance_uid=named.sop_instance_uid,
        instance_number=1,
        manufacturer="benchmark",
    )


def _group(finding: Finding, image: results.Read) -> hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    frame = image.source.frames[2]
    region = hd.sr.ImageRegion(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
        graphic_data=results.SQUARE.astype(np.float32),
        source_image=hd.sr.SourceImageForRegion(frame.sop_class_uid, frame.sop_instance_uid),
    )
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=finding.tracking_uid, identifier=finding.tracking_id),
        referenced_region=region,
        finding_type=our.structure_code(finding.structure),
        finding_sites=[hd.sr.FindingSite(anatomic_location=our.site_code(finding))],
        algorithm_id=algorithm(results.MODEL),
        measurements=[_number(quantity, finding.site) for quantity in finding.quantities],
        qualitative_evaluations=[
            hd.sr.QualitativeEvaluation(our.QUALITY, our.QUALITY_VALUES[finding.quality]),
            hd.sr.QualitativeEvaluation(our.OUTLINE, our.OUTLINE_MEASURED),
        ],
    )
    group[0].ContentSequence.extend(comment(note) for note in finding.notes)
    return group


def _number(quantity: Quantity, site: str) -> hd.sr.Measurement:
    row = MEASUREMENTS[quantity.key]
    return hd.sr.Measurement(
        name=hd.sr.CodedConcept.from_code(our.measurement_code(row, site)),
        value=quantity.value,
        unit=our.UNITS[row.unit],
        derivation=our.DERIVATIONS.get(row.derivation),
        method=our.METHODS.get(row.concept),
    )


def seconds(make: Callable[[], object]) -> float:
    """Return the CPU time that a call takes: what else the machine does counts less than on the clock."""
    begin = time.process_time()
    make()
    return time.process_time() - begin


def first_use(*, warm: bool) -> None:
    """Print how long the first report of this process takes."""
    if warm:
        print(f"{'':10} the warm-up takes {seconds(warm_up):.3f} s, before the first study")
    with tempfile.TemporaryDirectory() as name:
        image = results.read(builders.mr_series(), Path(name) / "mr")
        first = seconds(lambda: results.report(image, *findings_of(image)[:3]))
        second = seconds(lambda: results.report(image, *findings_of(image)[:3]))
    print(f"{'warm' if warm else 'cold':10} first report {first:.3f} s, second {second:.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        image = results.read(builders.mr_series(), Path(name) / "mr")
        findings = findings_of(image)
        evidence = Evidence([image.series], [image.source])
        report_header(evidence)

        def ours() -> Dataset:
            identity = results.identity(ResultKind.SR)
            return write_sr(findings, evidence, identity=identity, models=[results.MODEL], complete=True)

        def highdicom() -> Dataset:
            return by_highdicom(image, findings)

        ours(), highdicom()
        taken = [(seconds(ours), seconds(highdicom)) for _ in range(rounds)]  # alternating: what else runs meets both
    us, them = (statistics.median(part) for part in zip(*taken, strict=True))
    ratios = [mine / theirs for mine, theirs in taken]
    print(f"highdicom  {them:.3f} s, dicom_ai {us:.3f} s (median of {rounds})")
    print(f"ratio      {statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f})")
    for state in ("cold", "warm"):
        subprocess.run([sys.executable, "-c", FIRST_USE, state], check=True)


if __name__ == "__main__":
    main()
