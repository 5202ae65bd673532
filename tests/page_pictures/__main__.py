"""Take the pictures of the pages in docs/images anew, from a node that has lived through an invented hospital's night.

python -m tests.page_pictures [--out docs/images] [NAME ...]

Without a name: all of them. Each NAME becomes page-NAME-light.png and page-NAME-dark.png; LOOK at them afterwards.
"""

import argparse
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import structlog

from dicom_ai.app import App
from dicom_ai.storage.disk import Disk
from dicom_ai.web.pages import overview
from dicom_ai.web.server import WebPart
from tests.page_pictures import archives, camera, hospital, night
from tests.page_pictures.archives import Archives
from tests.peers import REPOSITORY

DISK = Disk(total=1_000_000_000_000, free=612_000_000_000)


def main(arguments: Sequence[str] | None = None) -> None:
    """Take the pictures that are named."""
    asked = _asked(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with tempfile.TemporaryDirectory() as name, archives.running() as theirs:
        folder = Path(name)
        take(night.lived(folder, theirs).app, folder, asked.out, asked.names or list(camera.PICTURES))


def take(app: App, folder: Path, out: Path, names: Sequence[str]) -> None:
    """Take pictures of a node."""
    shown_as = {str(folder / "models"): "/opt/dicom-ai/models", str(folder): "/var/lib/dicom-ai"}
    with app.database.read() as session:
        study_uid = camera.study_of(session, hospital.SHOWN)
    new = night.Night(folder / "new", Archives()).app
    with (
        serving(app) as address,
        serving(new) as new_address,
        camera.camera(address, new_address, study_uid, shown_as) as taken,
    ):
        for name in names:
            taken.take(name, out)
    new.close()


@contextmanager
def serving(app: App) -> Iterator[str]:
    """Serve the pages of a node, whose disk is the hospital's."""
    part = WebPart(app, port=0)
    part.start()
    with patch.object(overview, "disk_of", lambda folder: DISK):
        yield part.address
    part.stop()


def _asked(arguments: Sequence[str] | None) -> argparse.Namespace:
    usage = "python -m tests.page_pictures"
    parser = argparse.ArgumentParser(prog=usage, description="Take the pictures of the pages in docs/images anew.")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "docs" / "images", help="folder of the pictures")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(camera.PICTURES)}; none: all of them")
    asked = parser.parse_args(arguments)
    if unknown := set(asked.names) - camera.PICTURES.keys():
        parser.error(f"there is no picture {', '.join(sorted(unknown))}")
    return asked


if __name__ == "__main__":
    main()
