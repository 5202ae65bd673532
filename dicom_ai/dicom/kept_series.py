"""A series read back from the files the node keeps; a series is the same as long as its files are."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from dicom_ai.dicom.headers import read_instance
from dicom_ai.domain.study import Series
from dicom_ai.errors import MissingIdentity, NotDicom

REMEMBERED = 32
"""How many series stay in memory; their headers only. A study is routed again whenever another series of it is."""


def read_series(study_uid: str, series_uid: str, paths: Sequence[Path]) -> Series:
    """Return a series with the headers of its files.

    Raises RejectedInput where one cannot be read: a series that lacks an image must not pass for a whole one.
    """
    return _read(study_uid, series_uid, tuple(paths))


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
