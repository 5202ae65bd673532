from dataclasses import replace

from dicom_ai.domain.received import ReceivedInstance, Recorded
from dicom_ai.storage import associations, studies
from dicom_ai.storage.database import Database
from tests.unit.storage.conftest import Clock

IMAGE = ReceivedInstance(
    study_uid="1.2",
    series_uid="1.2.1",
    sop_instance_uid="1.2.1.1",
    sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
    transfer_syntax_uid="1.2.840.10008.1.2.1",
    sha256="a" * 64,
    size_bytes=1000,
    path="aa/1",
    received_at=0.0,
    patient_id="P1",
    modality="MR",
)


def another(number: int, **changes: object) -> ReceivedInstance:
    plain = replace(IMAGE, sop_instance_uid=f"1.2.1.{number}", sha256=f"{number:064x}", path=f"aa/{number}")
    return replace(plain, **changes)  # type: ignore[arg-type]


def record(database: Database, received: ReceivedInstance) -> Recorded:
    with database.write() as session:
        return studies.record_instance(session, received)


def test_the_same_uid_and_bytes_again_is_a_duplicate_that_resets_no_timer(database: Database, clock: Clock) -> None:
    first = record(database, IMAGE)
    clock.advance(40)
    again = record(database, replace(IMAGE, path="aa/other"))

    assert (first, again) == (Recorded.NEW, Recorded.DUPLICATE)
    with database.read() as session:
        assert studies.unrouted(session, quiet_s=30) == ["1.2"]


def test_a_known_uid_with_other_bytes_is_kept_beside_the_first_and_not_processed(database: Database) -> None:
    record(database, IMAGE)
    again = record(database, replace(IMAGE, sha256="b" * 64, path="aa/other"))

    assert again is Recorded.AGAIN
    with database.read() as session:
        assert studies.paths_of(session, "1.2", "1.2.1") == ("aa/1",)


def test_what_the_node_made_opens_no_series(database: Database, clock: Clock) -> None:
    own = record(database, another(9, series_uid="1.2.99", marked_own=True))
    clock.advance(100)

    assert own is Recorded.OWN
    with database.read() as session:
        assert studies.unrouted(session, quiet_s=30) == []


def test_a_series_waits_for_routing_until_it_was_quiet_long_enough(database: Database, clock: Clock) -> None:
    record(database, IMAGE)
    clock.advance(20)
    record(database, another(2))
    clock.advance(29)
    with database.read() as session:
        assert studies.unrouted(session, quiet_s=30) == []

    clock.advance(1)
    with database.read() as session:
        assert studies.unrouted(session, quiet_s=30) == ["1.2"]


def test_an_image_that_comes_while_its_series_is_routed_leaves_it_open(database: Database) -> None:
    record(database, IMAGE)
    with database.read() as session:
        seen = studies.series_of(session, "1.2")[0]
    record(database, another(2))
    with database.write() as session:
        studies.mark_routed(session, seen, facts=None)

    with database.read() as session:
        assert studies.is_open(session, "1.2")


def test_a_study_is_taken_for_routing_by_one_worker_at_a_time(database: Database, clock: Clock) -> None:
    record(database, IMAGE)
    clock.advance(30)
    with database.write() as session:
        first = studies.claim_for_routing(session, quiet_s=30, lease_s=60)
        second = studies.claim_for_routing(session, quiet_s=30, lease_s=60)
    clock.advance(61)
    with database.write() as session:
        after_the_lease = studies.claim_for_routing(session, quiet_s=30, lease_s=60)

    assert (first, second, after_the_lease) == ("1.2", None, "1.2")


def test_the_digest_of_a_series_does_not_depend_on_the_order_of_arrival(database: Database) -> None:
    images = [another(1), another(2)]
    for image in images:
        record(database, image)
    with database.read() as session:
        (kept,) = studies.series_of(session, "1.2")

    assert len(kept.paths) == 2
    assert kept.digest == studies.digest_of([("1.2.1.2", f"{2:064x}"), ("1.2.1.1", f"{1:064x}")])


def routed_study(database: Database) -> None:
    with database.write() as session:
        for series in studies.series_of(session, "1.2"):
            studies.mark_routed(session, series, facts=None)


def test_a_study_is_not_quiet_while_an_association_delivers_it(database: Database, clock: Clock) -> None:
    with database.write() as session:
        associations.opened(
            session, "a1", listener="L", calling_ae_title="MR1", called_ae_title="DICOM_AI", peer_address="127.0.0.1"
        )
    record(database, IMAGE)
    with database.write() as session:
        associations.delivered(session, "a1", "1.2")
    routed_study(database)
    clock.advance(600)
    with database.write() as session:
        associations.beat(session, ["a1"])
        open_association = studies.is_quiet(session, "1.2", quiet_s=600, stale_s=60)
        associations.closed(session, "a1")
        closed_association = studies.is_quiet(session, "1.2", quiet_s=600, stale_s=60)

    assert (open_association, closed_association) == (False, True)


def test_an_association_without_a_beat_counts_as_gone(database: Database, clock: Clock) -> None:
    with database.write() as session:
        associations.opened(
            session, "a1", listener="L", calling_ae_title="MR1", called_ae_title="DICOM_AI", peer_address="127.0.0.1"
        )
        associations.delivered(session, "a1", "1.2")
        fresh = associations.delivering(session, "1.2", stale_s=60)
        clock.advance(61)
        stale = associations.delivering(session, "1.2", stale_s=60)

    assert (fresh, stale) == (True, False)


def test_an_association_that_went_on_to_another_study_no_longer_delivers_the_first(database: Database) -> None:
    with database.write() as session:
        associations.opened(
            session, "a1", listener="L", calling_ae_title="MR1", called_ae_title="DICOM_AI", peer_address="127.0.0.1"
        )
        associations.delivered(session, "a1", "1.2")
        associations.delivered(session, "a1", "1.3")

        assert not associations.delivering(session, "1.2", stale_s=60)
        assert associations.delivering(session, "1.3", stale_s=60)


def test_start_up_closes_what_a_killed_listener_left_open(database: Database) -> None:
    with database.write() as session:
        for number, listener in enumerate(("DICOM_AI:1", "DICOM_AI:2")):
            associations.opened(
                session, str(number), listener=listener, calling_ae_title="", called_ae_title="", peer_address=""
            )
            associations.delivered(session, str(number), f"1.{number}")

        assert associations.close_left_open(session, "DICOM_AI:1") == 1
        assert not associations.delivering(session, "1.0", stale_s=60)
        assert associations.delivering(session, "1.1", stale_s=60)
