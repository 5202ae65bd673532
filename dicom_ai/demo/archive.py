"""A small archive for the demo, on loopback: it keeps what it is sent, and forwards files as a PACS would."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.events import Event
from pynetdicom.presentation import AllStoragePresentationContexts, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom_ai.errors import PeerUnavailable

AE_TITLE = "DEMO_PACS"
_TRANSFER_SYNTAXES = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"]
_MAX_CONTEXTS = 128


class DemoArchive:
    """Keeps every object it receives in a folder; use it as a context manager."""

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        self._folder = folder
        self._port = port
        self._arrived = threading.Condition()
        self._files: list[Path] = []

    @property
    def port(self) -> int:
        """The TCP port on which the archive listens."""
        return self._port

    @property
    def files(self) -> tuple[Path, ...]:
        """What has been received, in order of arrival."""
        with self._arrived:
            return tuple(self._files)

    def __enter__(self) -> "DemoArchive":
        self._folder.mkdir(parents=True, exist_ok=True)
        entity = AE(AE_TITLE)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(context.abstract_syntax or "", _TRANSFER_SYNTAXES)
        entity.add_supported_context(Verification)
        server: Any = entity.start_server(
            ("127.0.0.1", self._port), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)]
        )
        self._server = server
        self._port = server.socket.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()

    def _store(self, event: Event) -> int:
        path = self._folder / f"{event.dataset.SOPInstanceUID}.dcm"
        path.write_bytes(event.encoded_dataset())
        with self._arrived:
            self._files.append(path)
            self._arrived.notify_all()
        return 0x0000

    def forward(
        self, files: Sequence[Path], *, port: int, ae_title: str, sent: Callable[[int], None] = lambda count: None
    ) -> None:
        """Send files to the node over one association, as a PACS forwards a study.

        sent: called with how many have been acknowledged. Raises PeerUnavailable where one is not.
        """
        headers = [dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]) for path in files]
        wanted = {(ds.SOPClassUID, ds.file_meta.TransferSyntaxUID) for ds in headers}
        entity = AE(AE_TITLE)
        entity.requested_contexts = [build_context(sop_class, syntax) for sop_class, syntax in sorted(wanted)][
            :_MAX_CONTEXTS
        ]
        association = entity.associate("127.0.0.1", port, ae_title=ae_title)
        if not association.is_established:
            raise PeerUnavailable(f"the node on port {port} did not accept an association from {AE_TITLE}")
        try:
            for count, path in enumerate(files, start=1):
                status = association.send_c_store(path).get("Status")
                if status != 0x0000:
                    shown = "no answer" if status is None else f"status 0x{status:04X}"
                    raise PeerUnavailable(f"{path.name}: {shown} where Success was expected")
                sent(count)
        finally:
            association.release()
