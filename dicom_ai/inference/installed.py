"""The models of a folder as they lie there, for who only looks: manifest, card, and whether the bytes are right."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from dicom_ai.errors import ModelError
from dicom_ai.inference.manifest import CARD_FILE, Manifest, read_manifest
from dicom_ai.inference.registry import ModelStore, check_digest, digest_of

MOST_DIGESTS = 512
"""Files whose digests are remembered."""


@dataclass(frozen=True, slots=True)
class Installed:
    """One model folder. problems: why it cannot serve, as far as its files tell; nothing is loaded."""

    name: str
    manifest: Manifest | None
    problems: tuple[str, ...]
    size_bytes: int

    @property
    def digests(self) -> tuple[tuple[str, str], ...]:
        """File and SHA-256 of each of the weights, as the manifest names them."""
        return tuple((one.path.name, one.sha256) for one in self.manifest.weights) if self.manifest else ()

    @property
    def card(self) -> str:
        """The model card as Markdown; "" where there is none that can be read."""
        if self.manifest is None:
            return ""
        try:
            return (self.manifest.folder / CARD_FILE).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""


def installed(folder: Path) -> tuple[Installed, ...]:
    """Return every model of a folder, sorted by name. Weights are read where a file is new or has changed."""
    return tuple(look(folder, name) for name in ModelStore(folder).names())


def look(folder: Path, name: str) -> Installed:
    """Return one model of a folder. Raises ModelError where there is none of that name."""
    store = ModelStore(folder)
    if name not in store.names():
        raise ModelError(f"there is no model {name!r}; there is {', '.join(store.names()) or 'none'}")
    try:
        manifest = read_manifest(folder / name)
    except ModelError as error:
        return Installed(name, None, (str(error),), 0)
    problems, size = [], 0
    for weights in manifest.weights:
        try:
            check_digest(weights, digest_of=_known_digest)
            size += weights.path.stat().st_size
        except ModelError as error:
            problems.append(str(error))
    if not (manifest.folder / CARD_FILE).is_file():
        problems.append(f"{manifest.folder / CARD_FILE}: no such file")
    return Installed(name, manifest, tuple(problems), size)


def akin(one: Manifest, other: Manifest) -> bool:
    """Say whether two models make the same: then one can be a version of the other."""
    made = [{output.structure.name for output in manifest.outputs} for manifest in (one, other)]
    return one.name != other.name and one.measurements == other.measurements and made[0] == made[1]


def _known_digest(path: Path) -> str:
    """Return the digest of a file, read again only where the file is another: who looks does not wait for the disk."""
    is_now = path.stat()
    return _digest(path, is_now.st_size, is_now.st_mtime_ns, is_now.st_ctime_ns)


@lru_cache(maxsize=MOST_DIGESTS)
def _digest(path: Path, _size_bytes: int, _modified_ns: int, _changed_ns: int) -> str:
    # the time of the last change of the inode tells a copy apart that kept size and date ("cp -p", rsync)
    return digest_of(path)
