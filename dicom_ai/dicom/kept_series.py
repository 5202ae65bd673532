"""A series read back from the files the node keeps; a series is the same as long as its files are."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dicom_ai.dicom.headers import read_instance
from dicom_ai.domain.study import Element, Series
from dicom_ai.errors import MissingIdentity, NotDicom, RejectedInput, Unavailable

REMEMBERED_IMAGES = 4000
"""Headers of how many images stay in memory. A study is routed again whenever another series of it is."""

_Key = tuple[str, str, tuple[Path, ...]]
_remembered: OrderedDict[_Key, Series] = OrderedDict()
_guard = threading.Lock()


def read_series(study_uid: str, series_uid: str, paths: Sequence[Path]) -> Series:
    """Return a series with the headers of its files.

    Raises RejectedInput where one cannot be read: a series that lacks an image must not pass for a whole one. Raises
    Unavailable where the disk is why.
    """
    key = (study_uid, series_uid, tuple(paths))
    with _guard:
        known = _remembered.get(key)
        if known is not None:
            _remembered.move_to_end(key)
            return known
    with kept(paths):
        series = _read(*key)
    with _guard:
        _remembered[key] = series
        while sum(len(one.instances) for one in _remembered.values()) > REMEMBERED_IMAGES:
            _remembered.popitem(last=False)
    return series


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


def _read(study_uid: str, series_uid: str, paths: tuple[Path, ...]) -> Series:
    if not paths:
        raise NotDicom(f"series {series_uid}: none of its images is kept")
    instances = []
    same: dict[Element, Element] = {}  # most elements say the same in every image: kept once
    for path in paths:
        try:
            instance = read_instance(path)
            header = {keyword: same.setdefault(element, element) for keyword, element in instance.header.items()}
            instances.append(replace(instance, header=header))
        except (NotDicom, MissingIdentity) as error:
            raise NotDicom(f"series {series_uid}: one of its {len(paths)} images cannot be read: {error}") from error
    return Series(study_uid, series_uid, tuple(instances))
