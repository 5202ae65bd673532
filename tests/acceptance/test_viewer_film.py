"""A real lateral film in OHIF: every vertebra that the shipped model reports, with its contour and its level."""

import re
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from dicom_ai.analysis.batch import Batch
from dicom_ai.dicom.sr_reader import read_sr
from dicom_ai.inference.registry import ModelStore, default_models_folder
from dicom_ai.training.data.xray_cases import read_films
from dicom_ai.training.vertxnet_scores import view_of
from tests import builders
from tests.acceptance.archives import orthanc
from tests.acceptance.ohif import look, ohif
from tests.peers import free_port, need_data

FILM = "lateral_04"
"""Held out: no shipped weights were trained on it."""


@pytest.fixture(scope="module")
def viewed(tmp_path_factory):
    """A lumbar view with its report in an archive, and OHIF in front of it."""
    film = next(one for one in read_films(need_data("radiographs")) if one.name == FILM)
    pixels = view_of(film, "lumbar").pixels
    rows, columns = (side - side % 8 for side in pixels.shape)
    folder = tmp_path_factory.mktemp("film")
    sixteen = pixels[:rows, :columns].astype(np.uint16) * 16
    image = builders.radiograph(sixteen, WindowCenter=2048, WindowWidth=4096)
    files = builders.write([image], folder / "images")
    done = Batch(ModelStore(default_models_folder(), device="cpu"), folder / "out", model="spine-xray").run(files)
    written = [dcmread(path) for row in done for path in row.outputs if path.endswith(".dcm")]
    (report,) = [one for one in written if one.Modality == "SR"]
    with orthanc(folder / "orthanc", node_port=free_port()) as archive:
        archive.upload([*files, Path(report.filename)])
        with ohif(archive.url) as address:
            yield address, image, report, folder


def test_every_vertebra_is_shown_with_its_level_and_none_is_added(viewed):
    address, image, report, folder = viewed

    seen = look(
        address,
        study=image.StudyInstanceUID,
        series=[image.SeriesInstanceUID, report.SeriesInstanceUID],
        first=report.SeriesInstanceUID,
        picture=folder / "film.png",
    )

    (shown,) = seen["reports"]
    labels = [" ".join(one["labels"]) for one in shown["measurements"]]
    findings = read_sr(report).findings
    levels = {one.site_level for one in findings if one.site_level}
    assert {"L1", "L2", "L3", "L4", "L5", "S1"} <= levels
    assert len(shown["measurements"]) == len(findings)
    assert all(one["loaded"] for one in shown["measurements"])
    assert set(re.findall(r"\b([CTLS]\d+) vertebra", " ".join(labels))) == levels
    assert (seen["errors"], seen["outside"]) == ([], [])
