"""The models: what each is and says of itself, whether its files are right, what runs it, what it did; on and off."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Form, HTTPException, Query
from starlette.responses import Response

from dicom_ai.errors import ModelError
from dicom_ai.inference.installed import Installed, akin, installed, look
from dicom_ai.measurements.table import MEASUREMENTS
from dicom_ai.pipeline import versions_of_models
from dicom_ai.storage import browse, model_runs, models_off, rules, signs
from dicom_ai.storage.database import Session
from dicom_ai.web import cards
from dicom_ai.web.numbers import UNITS
from dicom_ai.web.reasons import plain
from dicom_ai.web.visit import Visit, Visiting

MOST = 20
"""Lines of the list of last runs."""

Name = Annotated[str, Form(max_length=128)]
Named = Annotated[str, Query(max_length=128)]
Why = Annotated[str, Form(max_length=500)]


def show(visit: Visiting) -> Response:
    """Show the models."""
    found = installed(visit.app.models_folder)
    with visit.database.read() as session:
        rows = [
            (item, model_runs.work_of(session, item.name), _devices(session, item.name), _rules(session, item.name))
            for item in found
        ]
        off = models_off.all_of(session)
    return visit.page("models.html", rows=rows, off=off, folder=visit.app.models_folder, days=model_runs.LATELY_DAYS)


def show_one(visit: Visiting, name: Named) -> Response:
    """Show one model with its card."""
    item = _one(visit, name)
    with visit.database.read() as session:
        runs = model_runs.last_runs(session, name, most=MOST)
        values: dict[str, Any] = {
            "work": model_runs.work_of(session, name),
            "devices": _devices(session, name),
            "rules": _rules(session, name),
            "off": models_off.all_of(session).get(name),
            "studies": browse.names(session, {run.study_uid for run in runs}),
        }
    visit.viewed_many(sorted({run.study_uid for run in runs}))
    return visit.page(
        "model.html",
        item=item,
        card=cards.rendered(item.card),
        akin=_akin(visit, item),
        runs=runs,
        days=model_runs.LATELY_DAYS,
        plain=plain,
        **values,
    )


def compare(visit: Visiting, one: Named, other: Named, key: Named = "") -> Response:
    """Show two models side by side on the studies that both have seen."""
    with visit.database.read() as session:
        found = versions_of_models.compare(session, one, other)
        studies = browse.names(session, {study.study_uid for study in found.studies})
    visit.viewed_many(sorted({study.study_uid for study in found.studies}))
    keys = [item.key for item in found.agreements]
    chosen = key if key in keys else keys[0] if keys else ""
    return visit.page(
        "models_compare.html",
        found=found,
        studies=studies,
        chosen=chosen,
        keys=[(name, MEASUREMENTS[name].displayed_name("a site") if name in MEASUREMENTS else name) for name in keys],
        units={name: UNITS.get(row.unit, row.unit) for name, row in MEASUREMENTS.items()},
    )


def turn(visit: Visiting, name: Name, state: Annotated[str, Form(pattern="^(on|off)$")], why: Why = "") -> Response:
    """Turn a model on or off."""
    _one(visit, name)
    change = models_off.turn_on if state == "on" else models_off.turn_off
    with visit.database.write() as session:
        changed = change(session, name, who=visit.who, why=why.strip())
    said = f"{name} is {state}." if changed else f"{name} was {state} already."
    return visit.go(f"/models/one?{urlencode({'name': name})}", notice=said)


def _one(visit: Visit, name: str) -> Installed:
    try:
        return look(visit.app.models_folder, name)
    except ModelError as error:
        raise HTTPException(404, str(error)) from error


def _akin(visit: Visit, item: Installed) -> list[Installed]:
    """Return what may be another version of a model: it makes the same."""
    if item.manifest is None:
        return []
    return [
        other
        for other in installed(visit.app.models_folder)
        if other.manifest is not None and akin(item.manifest, other.manifest)
    ]


def _devices(session: Session, name: str) -> list[signs.Device]:
    return [device for device in signs.devices(session) if device.model == name]


def _rules(session: Session, name: str) -> list[tuple[str, str]]:
    """Return the rules that send series to a model, with their state."""
    return [(rule.name, rule.state) for rule in rules.in_force(session).rule_set.rules if rule.model == name]
