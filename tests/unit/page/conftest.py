"""A study's entry as findings.json has it, and the page made of it."""

import numpy as np
import pytest

from dicom_ai.page.content import KeyPicture, Origin, page_of

ORIGIN = Origin(
    identity=("Yamada Tarou (山田 太郎), ID SYN001",),
    study=("SPINE, examination of 2026-01-10",),
    series={"1.2.1": "series 3 t2_sag"},
    software="dicom_ai 0.1.0",
)


def number(key: str, value: float | None, reason: str = "") -> dict:
    return {"key": key, "name": key, "value": value, "unit": "mm2", "reason": reason}


def finding(site: str, *numbers: dict, quality: str = "pass", notes: tuple[str, ...] = ()) -> dict:
    return {"name": "Spinal cord", "site": site, "quantities": list(numbers), "quality": quality, "notes": list(notes)}


def entry(*findings: dict, **more: object) -> dict:
    series = {
        "series_uid": "1.2.1",
        "state": "done",
        "model": {"name": "spinal-cord", "version": "1.0.0", "sha256": "ab" * 32},
        "findings": list(findings),
        "slices": [{"position_mm": float(place), "area_mm2": 70.0} for place in range(40)],
    }
    whole = {"run": 1, "complete": True, "created_at": "2026-01-10T12:00:00+00:00", "notes": [], "series": [series]}
    return {**whole, **more}


@pytest.fixture
def page():
    picture = KeyPicture("series 3 t2_sag: spinal-cord", np.full((60, 40, 3), 128, np.uint8))
    level = finding("C3", number("csa_mean", 67.4), number("csa_sd", 2.0), notes=("norms: none for 7 T",))
    failed = finding("C5", number("csa_mean", None, "touches the border"), quality="fail")
    return page_of(entry(level, failed, notes=["spinal-cord: a note"]), [picture], ORIGIN)
