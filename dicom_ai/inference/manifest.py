"""A model's description, models/<name>/model.toml: docs/reference/model-toml.md gives every key.

An unknown key, a missing key or a value of the wrong type raises ModelError naming the file and the key.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from dicom_ai.domain.findings import Structure, StructureKind
from dicom_ai.domain.model import ModelOffset, ModelRepeatability
from dicom_ai.errors import ModelError
from dicom_ai.inference.table import Table
from dicom_ai.measurements import names

MANIFEST_FILE = "model.toml"
CARD_FILE = "MODEL_CARD.md"

PLANES = ("axial", "sagittal", "coronal", "oblique")
NORMALISATIONS = ("none", "zscore", "percentile_zscore", "minmax")


@dataclass(frozen=True, slots=True)
class Limits:
    """A closed range; None is open."""

    least: float | None = None
    most: float | None = None

    def contains(self, value: float) -> bool:
        """True where the value lies in the range, with a relative tolerance of 1e-6."""
        slack = 1e-6 * abs(value)
        return (self.least is None or value >= self.least - slack) and (self.most is None or value <= self.most + slack)

    def __str__(self) -> str:
        if self.least is None:
            return "any" if self.most is None else f"at most {self.most:g}"
        return f"at least {self.least:g}" if self.most is None else f"{self.least:g} to {self.most:g}"


@dataclass(frozen=True, slots=True)
class DataSource:
    """Data that the model was trained on: its name, its licence, and where it comes from."""

    name: str
    licence: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """What the model takes, and how its image is prepared.

    kind: "volume" or "radiograph". modalities: Modality values allowed. planes: allowed slice planes, () is any.
    orientation: where (slice, row, column) indices increase to, three letters of L/R, P/A, S/I; "" keeps the source's.
    spacing_mm: grid of the model along those axes, 0 keeps the source's; () keeps all.
    patch: voxels along those axes; () runs the whole image at once.
    in_plane_mm, slice_spacing_mm, slices: what is allowed of the source image.
    """

    kind: Literal["volume", "radiograph"]
    modalities: tuple[str, ...]
    planes: tuple[str, ...] = ()
    orientation: str = ""
    spacing_mm: tuple[float, ...] = ()
    patch: tuple[int, ...] = ()
    in_plane_mm: Limits = Limits()
    slice_spacing_mm: Limits = Limits()
    slices: Limits = Limits()
    normalisation: str = "zscore"
    percentiles: tuple[float, float] = (0.5, 99.5)


@dataclass(frozen=True, slots=True)
class OutputSegment:
    """One label value of the model and what it stands for."""

    value: int
    structure: Structure


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file of weights: its role in the family, its path, and the SHA-256 (hex) its bytes must have."""

    role: str
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """A parsed and validated model.toml. folder: where it lies. options: [family_options], read by the family.

    found_threshold: lowest score at which the target counts as found. mask_threshold: lowest value inside a mask.
    longest_run_s: the process of an analysis that takes longer is ended. segmenter_offset: against the segmenter of
    healthy cohorts. repeatability: of its areas.
    """

    folder: Path
    name: str
    version: str
    family: str
    description: str
    licence: str
    data: tuple[DataSource, ...]
    input: InputSpec
    outputs: tuple[OutputSegment, ...]
    measurements: tuple[str, ...]
    weights: tuple[WeightsFile, ...]
    found_threshold: float = 0.5
    mask_threshold: float = 0.5
    longest_run_s: float = 600.0
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    segmenter_offset: ModelOffset | None = None
    repeatability: ModelRepeatability | None = None

    def options_table(self) -> Table:
        """Return [family_options] for strict reading: take each key, then call done()."""
        return Table(self.options, self.folder / MANIFEST_FILE, "family_options")

    def weights_of(self, role: str) -> WeightsFile:
        """Return the weights with a role; raises ModelError where there are none."""
        for weights in self.weights:
            if weights.role == role:
                return weights
        raise ModelError(f"{self.folder / MANIFEST_FILE}: weights: none has the role {role!r}")


def read_manifest(folder: Path) -> Manifest:
    """Parse and validate folder/model.toml; raises ModelError. The weights themselves are not opened."""
    path = folder / MANIFEST_FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; a model folder needs one") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{path}: not valid TOML: {error}") from error
    root = Table(content, path)
    thresholds = root.table("thresholds", default={})
    spec = _input(root.table("input"))
    manifest = Manifest(
        folder=folder,
        name=_name(root, folder),
        version=root.text("version"),
        family=root.text("family"),
        description=root.text("description"),
        licence=root.text("licence"),
        data=tuple(_data(table) for table in root.tables("data")),
        input=spec,
        outputs=_outputs(root),
        measurements=root.texts("measurements", default=(), among=names.NAMES),
        weights=_weights(root, folder),
        found_threshold=thresholds.number("found", default=0.5, least=0.0, most=1.0),
        mask_threshold=thresholds.number("mask", default=0.5, least=0.0, most=1.0),
        longest_run_s=root.number("longest_run_s", default=600.0, least=1.0),
        options=MappingProxyType(dict(root.table("family_options", default={}).free())),
        segmenter_offset=_segmenter_offset(root),
        repeatability=_repeatability(root),
    )
    thresholds.done()
    root.done()
    return manifest


def _name(root: Table, folder: Path) -> str:
    name = root.text("name")
    if name != folder.resolve().name:
        raise root.wrong("name", f"{name!r} is not the name of its folder, {folder.resolve().name!r}")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name):
        raise root.wrong("name", f"{name!r} may only hold a-z, 0-9, '.', '_' and '-'")
    return name


def _segmenter_offset(root: Table) -> ModelOffset | None:
    table = root.table("segmenter_offset", default={})
    segmenter, offset = table.text("segmenter", default=""), None
    if segmenter:
        offset = ModelOffset(segmenter, table.number("offset_mm2"), table.integer("images", least=1))
    table.done()
    return offset


def _repeatability(root: Table) -> ModelRepeatability | None:
    table = root.table("repeatability", default={})
    csa_mm2, pairs = table.number("csa_mm2", default=0.0, least=0.0), table.integer("pairs", default=0, least=0)
    table.done()
    return ModelRepeatability(csa_mm2, pairs) if csa_mm2 and pairs else None


def _data(table: Table) -> DataSource:
    data = DataSource(table.text("name"), table.text("licence"), table.text("source", default=""))
    table.done()
    return data


def _input(table: Table) -> InputSpec:
    kind = table.choice("kind", ("volume", "radiograph"), default="volume")
    spec = InputSpec(
        kind="volume" if kind == "volume" else "radiograph",
        modalities=table.texts("modalities"),
        planes=table.texts("planes", default=(), among=PLANES),
        orientation=_orientation(table),
        spacing_mm=table.numbers("spacing_mm", default=(), least=0.0),
        patch=tuple(int(size) for size in table.integers("patch", default=(), least=1)),
        in_plane_mm=_limits(table, "in_plane_mm"),
        slice_spacing_mm=_limits(table, "slice_spacing_mm"),
        slices=_limits(table, "slices"),
        normalisation=table.choice("normalisation", NORMALISATIONS, default="zscore"),
        percentiles=_percentiles(table),
    )
    axes = 3 if spec.kind == "volume" else 2
    for key, value in (("spacing_mm", spec.spacing_mm), ("patch", spec.patch)):
        if value and len(value) != axes:
            raise table.wrong(key, f"{len(value)} values where a {spec.kind} has {axes} axes")
    if spec.orientation and spec.kind == "radiograph":
        raise table.wrong("orientation", "a radiograph has none")
    if not spec.modalities:
        raise table.wrong("modalities", "must name at least one")
    table.done()
    return spec


def _orientation(table: Table) -> str:
    letters = table.text("orientation", default="")
    if letters and sorted("LPS"["LRPASI".index(letter) // 2] for letter in letters if letter in "LRPASI") != list(
        "LPS"
    ):
        raise table.wrong("orientation", f"{letters!r} is not one letter each of L/R, P/A and S/I, such as 'SPL'")
    if len(letters) not in (0, 3):
        raise table.wrong("orientation", f"{letters!r} does not have three letters")
    return letters


def _limits(table: Table, key: str) -> Limits:
    inner = table.table(key, default={})
    limits = Limits(inner.number("min", default=None), inner.number("max", default=None))
    inner.done()
    if limits.least is not None and limits.most is not None and limits.least > limits.most:
        raise table.wrong(key, f"min {limits.least:g} is above max {limits.most:g}")
    return limits


def _percentiles(table: Table) -> tuple[float, float]:
    values = table.numbers("percentiles", default=(0.5, 99.5), least=0.0)
    if len(values) != 2 or not values[0] < values[1] <= 100.0:
        raise table.wrong("percentiles", "must be two rising numbers from 0 to 100")
    return values[0], values[1]


def _outputs(root: Table) -> tuple[OutputSegment, ...]:
    outputs = tuple(_output(table) for table in root.tables("outputs"))
    values = [output.value for output in outputs]
    if not values or len(set(values)) != len(values):
        raise root.wrong("outputs", "must hold at least one segment, each with a value of its own")
    return outputs


def _output(table: Table) -> OutputSegment:
    value = table.integer("value", least=1, most=65535)
    kind = StructureKind(table.choice("kind", tuple(kind.value for kind in StructureKind)))
    level = table.text("level", default="") or None
    code = table.texts("code", default=())
    if code and len(code) != 3:
        raise table.wrong("code", "must be [value, coding scheme, meaning]")
    if kind is StructureKind.OTHER and not code:
        raise table.wrong("code", 'is needed where kind is "other": [value, coding scheme, meaning]')
    structure = Structure(kind, table.text("name"), level, (code[0], code[1], code[2]) if code else None)
    table.done()
    return OutputSegment(value, structure)


def _weights(root: Table, folder: Path) -> tuple[WeightsFile, ...]:
    weights = tuple(_weights_file(table, folder) for table in root.tables("weights"))
    roles = [file.role for file in weights]
    if not roles or len(set(roles)) != len(roles):
        raise root.wrong("weights", "must name at least one file, each with a role of its own")
    return weights


def _weights_file(table: Table, folder: Path) -> WeightsFile:
    file = table.text("file")
    if Path(file).name != file:
        raise table.wrong("file", f"{file!r} must lie in the model's own folder")
    sha256 = table.text("sha256").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise table.wrong("sha256", "must be 64 hexadecimal digits")
    weights = WeightsFile(table.text("role", default="main"), folder / file, sha256)
    table.done()
    return weights
