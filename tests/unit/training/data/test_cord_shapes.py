"""What is added to cases of the cord: tissue beneath the canal, and grey matter."""

import numpy as np
import pytest

from dicom_ai.imaging.neck_tissues import Tissue
from dicom_ai.training.data.cord_cases import formula_case
from dicom_ai.training.data.cord_shapes import beneath_canal, grey_matter


def ellipse(half_rows: float, half_columns: float, size: int = 40) -> np.ndarray:
    rows, columns = np.meshgrid(np.arange(size) - 19.5, np.arange(size) - 19.5, indexing="ij")
    inside = np.hypot(rows / half_rows, columns / half_columns) < 1
    return (inside * np.uint8(255))[None].repeat(2, axis=0)


def test_beneath_the_canal_lies_what_is_nearest_around_it():
    tissue = np.full((1, 1, 12), Tissue.MARROW, np.uint8)
    tissue[..., 4:8], tissue[..., 8:] = Tissue.CSF, Tissue.EPIDURAL
    canal = np.where(tissue == Tissue.CSF, 255, 0).astype(np.uint8)

    found = beneath_canal(tissue, canal, fluid=Tissue.CSF)

    assert found[0, 0].tolist() == [Tissue.MARROW] * 6 + [Tissue.EPIDURAL] * 6


def test_fluid_outside_of_the_canal_stays():
    tissue = np.full((1, 4, 4), Tissue.CSF, np.uint8)
    canal = np.zeros_like(tissue)
    canal[0, 0, 0] = 255

    assert (beneath_canal(tissue, canal, fluid=Tissue.CSF) == Tissue.CSF).all()


def test_grey_matter_is_a_butterfly_within_the_cord():
    cord = ellipse(8, 12)
    grey = grey_matter(cord)

    assert (grey <= cord).all()
    assert grey[0] == pytest.approx(grey[0, :, ::-1], abs=1)  # left as right
    assert 0.15 < grey.sum() / cord.sum() < 0.3  # about a fifth of the cervical cord
    assert grey[0, 20, 20] > 0 and grey[0, 14, 20] == 0  # a bridge, and white matter before it
    assert grey[0, 16:19].sum() > grey[0, 21:24].sum()  # front horns are wider


def test_too_little_cord_has_no_grey_matter():
    assert grey_matter(ellipse(2, 2)).sum() == 0


def test_a_formula_case_has_grey_matter_and_no_fluid_beneath_its_canal():
    arrays = formula_case(3, extent_mm=(40.0, 60.0, 60.0), top_mm=-40.0).arrays

    assert arrays["grey"].any() and (arrays["grey"] <= arrays["cord"]).all()
    assert not ((arrays["tissue"] == Tissue.CSF) & (arrays["canal"] > 0)).any()
