import numpy as np
import pytest

from dicom_ai.analysis import kept
from dicom_ai.analysis.series import analyse_series, read_source
from dicom_ai.dicom.headers import read_paths
from dicom_ai.errors import UnsuitableImage
from tests import builders
from tests.predictors import BrightCord
from tests.unit.analysis.conftest import vertebra


def test_an_analysis_carries_rule_model_and_masks_on_the_native_grid(cord_series):
    analysis = analyse_series(cord_series, BrightCord(), rule="cord")

    assert (analysis.rule, analysis.model.name) == ("cord", "bright-cord")
    assert analysis.segmentation.labels.shape == (40, 48, 48)


def test_the_models_own_check_holds_whatever_asked_for_it(cord_series):
    with pytest.raises(UnsuitableImage, match="knee"):
        analyse_series(cord_series, BrightCord(refuses="a knee"))


def test_a_modality_without_a_reader_is_refused_by_name(tmp_path):
    (series,) = read_paths(builders.write(builders.screenshot(), tmp_path)).series

    with pytest.raises(UnsuitableImage, match="modality OT"):
        read_source(series)


def test_a_kept_analysis_comes_back_the_same(cord_series, tmp_path):
    before = analyse_series(cord_series, BrightCord().with_vertebrae(vertebra("C3", upper_mm=30, lower_mm=15)))
    folder = tmp_path / "kept"
    folder.mkdir()

    kept.save(before, folder)
    after = kept.load(folder, cord_series)

    assert np.array_equal(after.segmentation.labels, before.segmentation.labels)
    assert np.array_equal(after.segmentation.soft, before.segmentation.soft)
    assert after.segmentation.segments == before.segmentation.segments
    assert after.model == before.model
    assert after.segmentation.vertebrae[0].level == "C3"
    assert np.allclose(after.segmentation.vertebrae[0].upper_mm, before.segmentation.vertebrae[0].upper_mm)


def test_a_kept_analysis_refuses_other_images_than_it_was_made_from(cord_series, tmp_path):
    kept.save(analyse_series(cord_series, BrightCord()), tmp_path)
    fewer = type(cord_series)(cord_series.study_uid, cord_series.series_uid, cord_series.instances[:-1])

    with pytest.raises(UnsuitableImage, match="not those that were analysed"):
        kept.load(tmp_path, fewer)
