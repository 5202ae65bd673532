"""Every URL of the pages: who may ask for it, and the view that answers.

To add a page: write pages/<noun>.py and templates/<noun>.html, and name its URLs here. GET shows; POST changes, then
redirects.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import Depends, FastAPI
from starlette.responses import Response

from dicom_ai.domain.account import Role
from dicom_ai.web.pages import (
    accounts,
    audit,
    destinations,
    first_start,
    judgements,
    login,
    models,
    overview,
    peers,
    provider,
    queue,
    result,
    rules,
    rules_change,
    rules_compare,
    rules_edit,
    rules_import,
    studies,
    study,
    tokens,
)
from dicom_ai.web.visit import needs, own_form, text_form

VIEWER, OPERATOR, ADMINISTRATOR = Role.VIEWER, Role.OPERATOR, Role.ADMINISTRATOR


@dataclass(frozen=True, slots=True)
class Url:
    """One URL. role: who may; None: anybody, before log-in."""

    method: Literal["GET", "POST"]
    path: str
    view: Callable[..., Any]
    role: Role | None


URLS = (
    # Before log-in
    Url("GET", "/first-start", first_start.show, None),
    Url("POST", "/first-start", first_start.save, None),
    Url("GET", "/login", login.show, None),
    Url("POST", "/login", login.sign_in, None),
    Url("GET", "/login/provider", provider.leave, None),
    Url("GET", "/login/provider/back", provider.come_back, None),
    Url("POST", "/logout", login.sign_out, VIEWER),
    # Overview
    Url("GET", "/", overview.show, VIEWER),
    # Studies
    Url("GET", "/studies", studies.show, VIEWER),
    Url("GET", "/studies/{study_uid}", study.show, VIEWER),
    Url("POST", "/studies/{study_uid}/ask", study.ask, OPERATOR),
    Url("GET", "/studies/{study_uid}/series/{series_uid}/thumbnail.png", study.thumbnail, VIEWER),
    # Queue and failures
    Url("GET", "/queue", queue.show, VIEWER),
    Url("POST", "/queue/jobs/{job_id}", queue.job, OPERATOR),
    Url("POST", "/queue/deliveries/{delivery_id}", queue.delivery, OPERATOR),
    Url("POST", "/queue/holds/{hold_id}", queue.hold, OPERATOR),
    Url("POST", "/queue/pause", queue.pause, OPERATOR),
    Url("POST", "/queue/resume", queue.resume, OPERATOR),
    # Rules
    Url("GET", "/rules", rules.show, VIEWER),
    Url("GET", "/rules/rules.toml", rules.export, VIEWER),
    Url("GET", "/rules/compare", rules_compare.show, VIEWER),
    Url("GET", "/rules/edit", rules_edit.show, ADMINISTRATOR),
    Url("POST", "/rules/edit", rules_edit.change, ADMINISTRATOR),
    Url("GET", "/rules/turn", rules_change.ask_turn, ADMINISTRATOR),
    Url("POST", "/rules/turn", rules_change.turn, ADMINISTRATOR),
    Url("GET", "/rules/remove", rules_change.ask_remove, ADMINISTRATOR),
    Url("POST", "/rules/remove", rules_change.remove, ADMINISTRATOR),
    Url("GET", "/rules/roll-back", rules_change.ask_roll_back, ADMINISTRATOR),
    Url("POST", "/rules/roll-back", rules_change.roll_back, ADMINISTRATOR),
    Url("POST", "/rules/move", rules_change.move, ADMINISTRATOR),
    Url("GET", "/rules/import", rules_import.show, ADMINISTRATOR),
    Url("POST", "/rules/import", rules_import.save, ADMINISTRATOR),
    # Destinations and peers
    Url("GET", "/destinations", destinations.show, VIEWER),
    Url("GET", "/destinations/one", destinations.show_one, VIEWER),
    Url("POST", "/destinations/try", destinations.try_it, OPERATOR),
    Url("POST", "/destinations/again", destinations.again, OPERATOR),
    Url("POST", "/destinations/pause", destinations.pause, OPERATOR),
    Url("POST", "/destinations/resume", destinations.resume, OPERATOR),
    Url("GET", "/destinations/edit", destinations.edit, ADMINISTRATOR),
    Url("POST", "/destinations/save", destinations.save, ADMINISTRATOR),
    Url("POST", "/destinations/remove", destinations.remove, ADMINISTRATOR),
    Url("POST", "/destinations/roll-back", destinations.roll_back, ADMINISTRATOR),
    Url("GET", "/peers", peers.show, VIEWER),
    Url("POST", "/peers/save", peers.save, ADMINISTRATOR),
    Url("POST", "/peers/remove", peers.remove, ADMINISTRATOR),
    # Models
    Url("GET", "/models", models.show, VIEWER),
    Url("GET", "/models/one", models.show_one, VIEWER),
    Url("GET", "/models/compare", models.compare, VIEWER),
    Url("POST", "/models/turn", models.turn, ADMINISTRATOR),
    # Accounts
    Url("GET", "/accounts", accounts.show, ADMINISTRATOR),
    Url("POST", "/accounts/add", accounts.add, ADMINISTRATOR),
    Url("POST", "/accounts/role", accounts.change_role, ADMINISTRATOR),
    Url("POST", "/accounts/password", accounts.set_password, ADMINISTRATOR),
    Url("POST", "/accounts/shut-out", accounts.shut_out, ADMINISTRATOR),
    Url("POST", "/accounts/let-in", accounts.let_in, ADMINISTRATOR),
    # Tokens
    Url("GET", "/tokens", tokens.show, ADMINISTRATOR),
    Url("POST", "/tokens/make", tokens.make, ADMINISTRATOR),
    Url("POST", "/tokens/revoke", tokens.revoke, ADMINISTRATOR),
    # Audit trail
    Url("GET", "/audit", audit.show, ADMINISTRATOR),
    Url("GET", "/audit/trail.csv", audit.export, ADMINISTRATOR),
    # Results
    Url("GET", "/judgements", judgements.show, VIEWER),
    Url("GET", "/studies/{study_uid}/runs/{number}", result.show, VIEWER),
    Url("POST", "/studies/{study_uid}/runs/{number}/judge", result.judge, OPERATOR),
    Url("GET", "/studies/{study_uid}/runs/{number}/plots/{series_uid}.svg", result.plot, VIEWER),
    Url("GET", "/studies/{study_uid}/runs/{number}/table.csv", result.table, VIEWER),
    Url("GET", "/results/{sop_instance_uid}/object.dcm", result.download, VIEWER),
    Url("GET", "/results/{sop_instance_uid}/report.pdf", result.document, VIEWER),
    Url("GET", "/results/{sop_instance_uid}/report.png", result.sheet, VIEWER),
    Url("GET", "/results/{sop_instance_uid}/labels.nii.gz", result.nifti, VIEWER),
    Url("GET", "/results/{sop_instance_uid}/slices/{index}.png", result.picture, VIEWER),
)


def add_to(web: FastAPI) -> None:
    """Add every URL to the application, each behind its role; a change also needs a form of its own session."""
    for url in URLS:
        guards = [] if url.role is None else [Depends(needs(url.role))]
        if url.method == "POST":
            guards.append(Depends(text_form))
        if url.role is not None and url.method == "POST":
            guards.append(Depends(own_form))
        web.add_api_route(
            url.path, url.view, methods=[url.method], dependencies=guards, response_class=Response, response_model=None
        )
