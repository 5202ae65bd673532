"""A series read back from the files the node keeps; a series is the same as long as its files are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from dicom_ai.dicom.headers import read_instance
from dicom_ai.domain.study import Series
from dicom_ai.errors import MissingIdentity, NotDicom, RejectedInput, Unavailable

REMEMBERED = 32
"""How many series stay in memory; their headers only. A study is routed again whenever another series of it is."""


def read_series(study_uid: str, series_uid: str, paths: Sequence[Path]) -> Series:
    """Return a series with the headers of its files.

    Raises RejectedInput where one cannot be read: a series that lacks an image must not pass for a whole one. Raises
    Unavailable where the disk is why.
    """
    with kept(paths):
        return _read(study_uid, series_uid, tuple(paths))


@contextmanager
def kept(paths: Sequence[Path]) -> Iterator[None]:
    """Turn RejectedInput into Unavailable where a file that the node keeps cannot be opened: no fault of the images."""
    try:
        yield
    except RejectedInput:
        for path in paths:
            try:
                path.open("rb").close()
            except OSError as error:
                raise Unavailable(f"file store: a kept image: {error.strerror}") from None
        raise


@lru_cache(maxsize=REMEMBERED)
def _read(study_uid: str, series_uid: str, paths: tuple[Path, ...]) -> Series:
    if not paths:
        raise NotDicom(f"series {series_uid}: none of its images is kept")
    instances = []
    for path in paths:
        try:
            instances.append(read_instance(path))
        except (NotDicom, MissingIdentity) as error:
            raise NotDicom(f"series {series_uid}: one of its {len(paths)} images cannot be read: {error}") from error
    return Series(study_uid, series_uid, tuple(instances))
