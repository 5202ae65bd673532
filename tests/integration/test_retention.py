"""Images that retention deleted, at a listener: sent again, found again, and never lost between two steps."""

import threading
from pathlib import Path

import sqlalchemy as sa

from dicom_ai.pipeline import retain
from dicom_ai.storage import retention
from dicom_ai.storage.retention import Limits
from dicom_ai.storage.tables import InstanceRow, SeriesRow
from tests.integration.listening import Running, listening, mr_files, same_bytes, store

AT_ONCE = Limits(unwanted_s=1e-6, analysed_s=0, results_s=0)


def routed(node: Running) -> None:
    """Say that no rule wanted the series."""
    with node.database.write() as session:
        session.execute(sa.update(SeriesRow).values(routed_revision=SeriesRow.revision))


def delete(node: Running) -> int:
    routed(node)
    return retain.run(node.database, node.files, AT_ONCE).images


def standings(node: Running) -> list[str]:
    return [row.standing for row in node.instances()]


def test_a_deleted_image_that_comes_again_is_kept_again(tmp_path: Path) -> None:
    paths = mr_files(tmp_path, 3)
    with listening(tmp_path / "node") as node:
        store(node.port, *paths)
        assert delete(node) == 3
        assert node.kept() == []
        again = store(node.port, *paths)

        assert [status.Status for status in again] == [0, 0, 0]
        assert standings(node) == ["kept"] * 3
        assert all(same_bytes(node, path) for path in paths)


def test_a_start_after_a_deletion_misses_nothing(tmp_path: Path) -> None:
    with listening(tmp_path / "node") as node:
        store(node.port, *mr_files(tmp_path, 3))
        delete(node)
    with listening(tmp_path / "node") as node:
        assert standings(node) == ["deleted"] * 3


def test_a_start_in_the_middle_of_a_deletion_neither_misses_nor_revives_anything(tmp_path: Path) -> None:
    with listening(tmp_path / "node") as node:
        store(node.port, *mr_files(tmp_path, 2))
        routed(node)
        first, _ = node.instances()
        with node.database.write() as session:
            assert retention.begin(session, first.study_uid, AT_ONCE) == 2
        node.files.withdraw(first.path)
    with listening(tmp_path / "node") as node:
        assert standings(node) == ["deleting"] * 2
        retain.run(node.database, node.files, AT_ONCE)
        assert (standings(node), node.kept()) == (["deleted"] * 2, [])


def test_an_image_acknowledged_while_its_like_is_deleted_is_on_disk(tmp_path: Path) -> None:
    """Sends the same images again and again while retention deletes them as fast as it can."""
    paths = mr_files(tmp_path, 4)
    with listening(tmp_path / "node") as node:
        store(node.port, *paths)
        stop = threading.Event()

        def delete_on_and_on() -> None:
            while not stop.is_set():
                delete(node)

        deleter = threading.Thread(target=delete_on_and_on)
        deleter.start()
        for _ in range(25):
            answers = {status.Status for status in store(node.port, *paths)}
            assert answers <= {0x0000, 0xA700}
        stop.set()
        deleter.join()

        with node.database.read() as session:
            kept = session.scalars(sa.select(InstanceRow.path).where(InstanceRow.standing == "kept")).all()
        assert sorted(kept) == node.kept()
