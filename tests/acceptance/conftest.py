from datetime import datetime
from pathlib import Path

import pytest

from dicom_ai.demo.study import ACQUISITIONS, NeckStudy, write_neck_study
from dicom_ai.imaging.neck_phantom import NeckShape


@pytest.fixture(scope="session")
def neck(tmp_path_factory) -> NeckStudy:
    """One isotropic sagittal T2 series of a neck of known cord area."""
    folder: Path = tmp_path_factory.mktemp("neck")
    return write_neck_study(folder, now=datetime.now().astimezone(), shape=NeckShape(), which=ACQUISITIONS[:1])
