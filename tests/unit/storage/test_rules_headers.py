from pathlib import Path

from dicom_ai.pipeline import route
from dicom_ai.storage import rules_headers
from tests.unit.pipeline.lab import SERIES, STUDY, Lab


def test_what_rules_see_is_there_after_routing_and_without_the_images(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.receive(SeriesDescription="t2_tra")
    before = lab.look(lambda session: rules_headers.newest(session, since=0))
    lab.rule()
    lab.advance(60)
    route.run(lab.router)
    (study,) = lab.look(lambda session: rules_headers.newest(session, since=0))

    assert [(one.series, one.unread) for one in before] == [((), (SERIES,))]
    (series,) = study.series
    assert (series.series_uid, series.text("SeriesDescription"), series.facts["plane"].value) == (
        SERIES,
        "t2_tra",
        "axial",
    )
    assert study.unread == ()


def test_studies_go_by_pages_from_a_place_on_and_end_at_a_time(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.receive()
    (study,) = lab.look(lambda session: rules_headers.newest(session, since=0))

    assert study.place.study_uid == STUDY
    assert lab.look(lambda session: rules_headers.newest(session, since=0, before=study.place)) == ()
    assert lab.look(lambda session: rules_headers.newest(session, since=study.place.at + 1)) == ()
