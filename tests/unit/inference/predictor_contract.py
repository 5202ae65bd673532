"""What every family's predictor must do. A family's test inherits PredictorContract and gives the two fixtures."""

import numpy as np
import pytest

from dicom_ai.domain.image import Radiograph, SourceImage, Volume
from dicom_ai.errors import UnsuitableImage
from dicom_ai.inference.predictor import Predictor

from .models import source


class PredictorContract:
    """predictor: a loaded model. image: one in which it finds something."""

    @pytest.fixture
    def predictor(self) -> Predictor:
        raise NotImplementedError

    @pytest.fixture
    def image(self) -> SourceImage:
        raise NotImplementedError

    def test_labels_lie_on_the_native_grid(self, predictor, image):
        labels = predictor.predict(image).labels

        native = image.image.voxels if isinstance(image.image, Volume) else image.image.pixels
        assert labels.shape == native.shape
        assert labels.dtype in (np.uint8, np.uint16)

    def test_segments_are_numbered_without_gaps_and_all_present(self, predictor, image):
        result = predictor.predict(image)

        numbers = [segment.number for segment in result.segments]
        assert numbers == list(range(1, len(numbers) + 1))
        assert sorted(set(np.unique(result.labels)) - {0}) == numbers
        assert numbers

    def test_segments_are_those_of_the_manifest(self, predictor, image):
        known = {output.structure.kind for output in predictor.manifest.outputs}

        assert {segment.structure.kind for segment in predictor.predict(image).segments} <= known

    def test_tracking_uids_are_new_in_every_run(self, predictor, image):
        runs = [predictor.predict(image).segments for _ in range(2)]

        uids = [segment.tracking_uid for segments in runs for segment in segments]
        assert len(set(uids)) == len(uids)

    def test_the_same_image_gives_the_same_result(self, predictor, image):
        first, second = predictor.predict(image), predictor.predict(image)

        assert np.array_equal(first.labels, second.labels)
        assert first.score == second.score

    def test_the_score_and_the_soft_mask_are_shares(self, predictor, image):
        result = predictor.predict(image)

        assert 0.0 <= result.score <= 1.0
        if result.soft is not None:
            assert result.soft.dtype == np.float32
            assert result.soft.shape == result.labels.shape
            assert result.soft.min() >= 0.0 and result.soft.max() <= 1.0

    def test_progress_never_falls_and_ends_at_one(self, predictor, image):
        seen: list[float] = []

        predictor.predict(image, progress=seen.append)

        assert seen == sorted(seen)
        assert seen[-1] == pytest.approx(1.0)

    def test_the_image_is_not_changed(self, predictor, image):
        before = image.image.voxels.copy() if isinstance(image.image, Volume) else image.image.pixels.copy()

        predictor.predict(image)

        after = image.image.voxels if isinstance(image.image, Volume) else image.image.pixels
        assert np.array_equal(before, after)

    def test_the_reference_names_the_model(self, predictor):
        reference, manifest = predictor.reference, predictor.manifest

        assert (reference.name, reference.version, reference.family) == (
            manifest.name,
            manifest.version,
            manifest.family,
        )
        assert len(reference.digest) == 64
        assert reference.device == "CPU" or reference.device.startswith("CUDA:")

    def test_another_modality_is_refused(self, predictor, image):
        with pytest.raises(UnsuitableImage, match="modality US"):
            predictor.accepts(image, modality="US")

    def test_an_image_of_the_other_kind_is_refused(self, predictor, image):
        radiograph = source(Radiograph(np.zeros((64, 64), np.float32)))
        volume = source(Volume(np.zeros((8, 64, 64), np.float32), np.eye(4)))

        with pytest.raises(UnsuitableImage):
            predictor.accepts(radiograph if isinstance(image.image, Volume) else volume, modality="")
