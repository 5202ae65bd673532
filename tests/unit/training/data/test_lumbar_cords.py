"""The list of lumbar images with and without a visible cord."""

from dicom_ai.training.data.lumbar_cords import lumbar_cords, without_cord
from tests.peers import need_data


def test_every_image_has_a_verdict_and_what_was_seen():
    verdicts = lumbar_cords()

    assert {one.cord for one in verdicts.values()} == {"yes", "no", "in doubt"}
    assert all(one.seen for one in verdicts.values())
    assert without_cord() < set(verdicts)


def test_every_lumbar_volume_of_the_data_is_in_the_list():
    folder = need_data("spine_mr")

    names = {path.name.removesuffix("_image.nii.gz") for path in folder.glob("*_image.nii.gz")}
    assert names == set(lumbar_cords())
