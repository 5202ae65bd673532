"""The form of a destination: which fields each kind has, what is typed into them, and what that means.

A field that does nothing is not shown: each kind has its own, and files of TLS count only where TLS is spoken.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starlette.datastructures import FormData

from dicom_ai.destinations.identity import Check
from dicom_ai.domain.output import OUTPUTS, Output
from dicom_ai.errors import ConfigError
from dicom_ai.sections import DestinationSettings
from dicom_ai.storage.neighbours import SECRET

KINDS: Mapping[str, str] = {"c_store": "by C-STORE", "stow_rs": "by DICOMweb (STOW-RS)", "folder": "into a folder"}
"""Kind of destination -> how results get there, in words."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One parameter of a kind. group: "" beside the others, "tls" or "times". choices: of a list to choose from."""

    key: str
    label: str
    kind: Literal["text", "number", "tick", "choice", "secret"] = "text"
    help: str = ""
    required: bool = False
    group: str = ""
    choices: tuple[tuple[str, str], ...] = ()


_IDENTITY = FormField(
    "check_identity",
    "Before sending, patient and study must be",
    "choice",
    "Where it has another patient or study, the result is held until a person decides.",
    choices=(
        (Check.REQUIRED, "known there, as here"),
        (Check.IF_KNOWN, "as here, where they are known"),
        (Check.OFF, "not asked for"),
    ),
)
_TLS_FILES = (
    FormField("authorities", "Authorities (PEM file)", help="Empty: the system's.", group="tls"),
    FormField("certificate", "Our certificate (PEM file)", help="Where the other side wants to see one.", group="tls"),
    FormField("key", "Its private key (PEM file)", group="tls"),
)

FIELDS: Mapping[str, tuple[FormField, ...]] = {
    "c_store": (
        FormField("host", "Host name or address", required=True),
        FormField("port", "Port", "number", required=True),
        FormField("called_ae_title", "Its AE title", required=True),
        FormField("calling_ae_title", "AE title the node calls as", help="Empty: that of the node."),
        _IDENTITY,
        FormField("tls", "Connect with TLS", "tick", group="tls"),
        *_TLS_FILES,
        FormField("connect_s", "To connect, seconds", "number", "Empty: as [timeouts] says.", group="times"),
        FormField("acse_s", "To negotiate, seconds", "number", group="times"),
        FormField("dimse_s", "For an answer, seconds", "number", group="times"),
        FormField("network_s", "Of silence, seconds", "number", group="times"),
    ),
    "stow_rs": (
        FormField("url", "Address of the service", help="As https://pacs.example/dicom-web", required=True),
        FormField("authorization", "Header Authorization", "secret", "As Bearer ...; it is never shown again."),
        _IDENTITY,
        *_TLS_FILES,
        FormField("timeout_s", "For an answer, seconds", "number", "Empty: 120.", group="times"),
    ),
    "folder": (FormField("folder", "Folder on the node's machine", help="It must exist.", required=True),),
}

OUTPUT_WORDS: tuple[tuple[str, str], ...] = tuple((output.value, text) for output, text in OUTPUTS.items())


def values_of(form: FormData, before: DestinationSettings | None) -> dict[str, Any]:
    """Return what a form says of a destination, for neighbours.destination_from.

    before: the destination that is changed; a secret that was left empty stays as it was. Raises ConfigError.
    """
    kind = str(form.get("kind", ""))
    parameters: dict[str, Any] = {}
    for field in FIELDS.get(kind, ()):
        value = _value(field, form)
        if value == "" and field.key in SECRET and before is not None and "forget_secret" not in form:
            value = before.parameters.get(field.key, "")
        if value != "":
            parameters[field.key] = value
    if kind == "c_store" and parameters.get("tls") is not True:
        parameters = {key: value for key, value in parameters.items() if key not in _OF_TLS}
    return {
        "name": str(form.get("name", "")).strip(),
        "kind": kind,
        "parameters": parameters,
        "outputs": [str(value) for value in form.getlist("outputs")],
        "largest_mb": _number("largest object", str(form.get("largest_mb", "")), 0),
        "most_per_hour": _number("most per hour", str(form.get("most_per_hour", "")), None),
    }


def typed(form: FormData) -> dict[str, Any]:
    """Return what was typed, to be shown again beside what is wrong with it; no secret."""
    shown: dict[str, Any] = {key: str(value) for key, value in form.items() if key not in SECRET}
    return shown | {"outputs": [str(value) for value in form.getlist("outputs")]}


def shown(item: DestinationSettings) -> dict[str, Any]:
    """Return a destination as its form shows it; no secret."""
    parameters = {key: "on" if value is True else value for key, value in item.parameters.items() if key not in SECRET}
    return parameters | {
        "name": item.name,
        "kind": item.kind,
        "outputs": [output.value for output in item.outputs],
        "largest_mb": f"{item.largest_mb:g}" if item.largest_mb else "",
        "most_per_hour": "" if item.most_per_hour is None else item.most_per_hour,
    }


def blank(kind: str) -> dict[str, Any]:
    """Return what the form of a new destination begins with."""
    return {"kind": kind, "outputs": [Output.SEG.value, Output.SR.value]}


_OF_TLS = frozenset({"tls", *(field.key for field in _TLS_FILES)})


def _value(field: FormField, form: FormData) -> Any:
    text = str(form.get(field.key, "")).strip()
    if field.kind == "tick":
        return True if text else ""
    return _number(field.label, text, "") if field.kind == "number" else text


def _number(label: str, text: str, absent: Any) -> Any:
    """Return a number; absent for an empty field."""
    text = text.strip()
    if not text:
        return absent
    try:
        number = float(text)
    except ValueError:
        raise ConfigError(f"{label}: {text!r} is no number") from None
    return int(number) if number.is_integer() else number
