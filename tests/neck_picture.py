"""Draw docs/images/spine-mr-neck.png: the neck errsm30 (MIT) by the shipped weights, with the name of every structure.

python -m tests.neck_picture docs/images/spine-mr-neck.png
"""

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dicom_ai.dicom.nifti import read_nifti
from dicom_ai.domain.findings import StructureKind
from dicom_ai.domain.image import Volume
from dicom_ai.imaging.overlay import render
from dicom_ai.imaging.palette import color_of
from dicom_ai.inference.registry import ModelStore, default_models_folder
from dicom_ai.page.letters import font_bytes
from tests.peers import need_data

LARGER, BOX, MIDDLE_LEVEL = 3, (120, 0, 310, 195), "C4"
"""Times; (left, upper, right, lower) of what is shown, voxels of 1 mm; the vertebra whose middle slice is shown."""


def draw(path: Path) -> None:
    """Write the picture: a body's name in it, a disc's before it."""
    image = read_nifti(need_data("spinal_cord_mr") / "errsm30_t2.nii.gz")
    found = ModelStore(default_models_folder(), device="cpu", threads=1).load("spine-mr").predict(image)
    assert isinstance(image.image, Volume)
    middle = next(one for one in found.vertebrae if one.level == MIDDLE_LEVEL)
    place = round(float(image.image.to_indices(middle.centroid_mm[None])[0][0]))
    grey, labels = (np.ascontiguousarray(one[place][::-1]) for one in (image.image.voxels, found.labels))
    colors = {segment.number: color_of(segment.structure, number=segment.number) for segment in found.segments}
    picture = Image.fromarray(render(grey, labels, colors, opacity=0.45)).crop(BOX)
    picture = picture.resize((picture.width * LARGER, picture.height * LARGER), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    for segment in found.segments:
        places, level = np.argwhere(labels == segment.number), segment.structure.level
        if not len(places) or level is None:
            continue
        row, column = (places.mean(axis=0) + 0.5 - (BOX[1], BOX[0])) * LARGER
        if segment.structure.kind is StructureKind.VERTEBRA:
            _write(pen, (column, row), level, size=17, anchor="mm")
        else:
            front = (float(places[:, 1].min()) - BOX[0]) * LARGER
            _write(pen, (front - 8, row), level, size=11, anchor="rm")
    picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)


def _write(pen: ImageDraw.ImageDraw, place: tuple[float, float], text: str, *, size: int, anchor: str) -> None:
    font = ImageFont.truetype(BytesIO(font_bytes()), size)
    pen.text(place, text, font=font, fill=(255, 255, 255), anchor=anchor, stroke_width=2, stroke_fill=(0, 0, 0))


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
