"""What is said of an error nobody expected: its kind and its place, not its message, which may hold patient data."""

from dataclasses import dataclass

from dicom_ai.errors import DicomAiError


@dataclass(frozen=True, slots=True)
class Description:
    """text: for the job's reason. fields: for the log."""

    text: str
    fields: dict[str, str | list[str]]


class Unexpected(Exception):
    """An error nobody expected, in the process that runs the models; what may be said of it crossed over."""

    def __init__(self, description: Description) -> None:
        super().__init__(description.text)
        self.description = description


def describe(error: Exception) -> Description:
    """Return what may be stored and logged of an error."""
    if isinstance(error, Unexpected):
        return error.description
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    kind = type(error).__name__
    message = str(error) if isinstance(error, DicomAiError) else f"unexpected {kind}"
    where = places[-1].rpartition("/")[2] if places else "nowhere"
    text = message if isinstance(error, DicomAiError) else f"{message} at {where}"
    return Description(text, {"error": kind, "reason": message, "at": places})
