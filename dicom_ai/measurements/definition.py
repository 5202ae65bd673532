"""What is said of a kind of number: one row of measurements.table."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeasurementDefinition:
    """One row of the table.

    name: what viewers show; {site} stands for where ("C3"). It reads alone: viewers hide the derivation.
    unit: UCUM. decimals: values are rounded to these before anything is written.
    formula, valid_when, source: sentences for the docs. sign: what a positive value means, where it can be negative.
    plus: it is a difference, so that people read a plus before what is larger.
    concept: key of the quantity's concept in dicom/codes.py. derivation: "", "mean", "sd", "min" or "max".
    """

    key: str
    name: str
    unit: str
    decimals: int
    formula: str
    valid_when: str
    source: str
    concept: str
    derivation: str = ""
    sign: str = ""
    plus: bool = False

    def displayed_name(self, site: str) -> str:
        """Return the name that stands beside the number, at most 64 characters for sites of at most 34 (SR, VR LO)."""
        return self.name.format(site=site)

    def digits(self, value: float) -> str:
        """Return a number as programs read it: with its decimals."""
        return f"{value:.{self.decimals}f}"

    def text(self, value: float) -> str:
        """Return a number as people read it: with its decimals, and a difference with its plus."""
        return f"+{self.digits(value)}" if self.plus and value > 0 else self.digits(value)
