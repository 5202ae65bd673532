"""The receiving process: what arrives over DICOM goes to pipeline.receive, and what became of it back as a status.

An image is answered with Success only after its bytes and its row are safe. Everything else is told by the table
STATUSES, and by docs/conformance.md.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import structlog

from dicom_ai.app import home_of
from dicom_ai.dimse.datastream import Truncated
from dicom_ai.dimse.scp import (
    LOCAL_LIMIT_EXCEEDED,
    REASONS,
    Caller,
    CommitmentReport,
    Handlers,
    Limits,
    Peer,
    Scp,
    StoreAnswer,
    StoreRequest,
)
from dicom_ai.dimse.tls import server_context
from dicom_ai.domain.announcement import Announcement
from dicom_ai.domain.throttle import Throttle
from dicom_ai.errors import (
    ConfigError,
    DicomAiError,
    MissingIdentity,
    NotDicom,
    RejectedInput,
    StorageFull,
    Unavailable,
)
from dicom_ai.pipeline import receive
from dicom_ai.pipeline.neighbours import Live
from dicom_ai.settings import Settings
from dicom_ai.storage import associations, callers, confirmations, evidence
from dicom_ai.storage.callers import OTHERS, Rejection
from dicom_ai.storage.database import Database
from dicom_ai.storage.files import FileStore

OUT_OF_RESOURCES = 0xA700
STATUSES: MappingProxyType[type[DicomAiError], int] = MappingProxyType(
    {
        StorageFull: OUT_OF_RESOURCES,
        Unavailable: OUT_OF_RESOURCES,
        MissingIdentity: 0xA900,
        Truncated: 0xC001,
        NotDicom: 0xC000,
        RejectedInput: 0xC000,
    }
)
"""Error -> C-STORE status (PS3.4 B.2.3); the first class that fits counts."""

LATER = "cannot be stored now, try again"

FULL = REASONS[LOCAL_LIMIT_EXCEEDED]

REJECTED_TOLD_EVERY_S = 3600.0
"""The audit trail is told so often of a caller that is rejected again and again, with how often; the log every time."""

CALLED_EVERY_S = 60.0
"""That a peer called is noted so often: some open an association for every image."""

NOTED_EVERY_S = 1.0
"""That somebody sent a C-ECHO, or was rejected, is noted so often: somebody may be waiting to see it."""


class Listener:
    """The storage SCP on its ports, with a thread that shows which associations live.

    start() brings files and index together first, and raises ConfigError or Unavailable when it cannot begin.
    live: who may connect, as it changes; None: as the settings and the database say.
    """

    def __init__(self, settings: Settings, database: Database, files: FileStore, live: Live | None = None) -> None:
        self._settings = settings
        self._database = database
        self._files = files
        self._live = live or Live(database, home_of(settings))
        self._name = f"{settings.node.ae_title}:{settings.node.port}"
        self._stopped = threading.Event()
        self._rejections = Throttle(NOTED_EVERY_S, others=OTHERS)
        self._rejections_told = Throttle(REJECTED_TOLD_EVERY_S, others=OTHERS)
        self._calls = Throttle(CALLED_EVERY_S, others=("", ""))
        self._verifications = Throttle(NOTED_EVERY_S, others=("", ""))
        self._beats = threading.Thread(target=self._beat, name="association-beat", daemon=True)
        self._scp = Scp(
            settings.node.ae_title,
            _Peers(self._live),
            Handlers(
                self._open_part,
                self._store,
                self._closed,
                self._committed,
                self._refused,
                self._announced,
                self._verified,
            ),
            limits=Limits(
                acse_timeout_s=settings.timeouts.acse_s,
                dimse_timeout_s=settings.timeouts.dimse_s,
                network_timeout_s=settings.timeouts.network_s,
                maximum_associations=settings.node.maximum_associations,
                check_called_ae_title=settings.node.check_called_ae_title,
            ),
        )
        self.port = 0
        self.tls_port = 0
        self.log = structlog.get_logger().bind(process="listener")

    def start(self) -> None:
        """Reconcile, then listen; returns when the ports are open."""
        with self._database.write() as session:
            left_open = associations.close_left_open(session, self._name)
        found = receive.reconcile(self._files, self._database)
        self.log.info(
            "files and index agree",
            associations_closed=left_open,
            parts_removed=found.parts,
            indexed=found.indexed,
            set_aside=found.set_aside,
            missing=found.missing,
        )
        self._listen()
        self._beats.start()

    def stop(self, *, grace_s: float = 10) -> None:
        """Let nobody more in, give what is in flight time to end, and close the rest."""
        self._stopped.set()
        self._scp.stop(grace_s)
        if self._beats.is_alive():
            self._beats.join()
        self._tell_rejections(at=float("inf"))
        self.log.info("stopped")

    def _listen(self) -> None:
        node, tls = self._settings.node, self._settings.tls
        try:
            self.port = self._scp.listen(node.address, node.port)
            if tls.certificate and tls.key:
                context = server_context(tls.certificate, tls.key, authorities=tls.authorities)
                self.tls_port = self._scp.listen(node.address, tls.port, tls=context)
        except OSError as error:
            self._scp.stop(0)
            raise ConfigError(f"cannot listen on {node.address}: {error.strerror}") from error
        if not self._live.peers:
            self.log.warning("no peers are configured: every association is rejected")
        self.log.info("listening", ae_title=node.ae_title, address=node.address, port=self.port, tls_port=self.tls_port)

    def _open_part(self, caller: Caller, sop_class_uid: str, sop_instance_uid: str, syntax: str) -> receive.PartFile:
        return receive.open_part(self._files, caller, sop_class_uid, sop_instance_uid, syntax)

    def _store(self, request: StoreRequest) -> StoreAnswer:
        log = self.log.bind(sop_instance_uid=request.sop_instance_uid, association=request.caller.id)
        try:
            recorded = receive.run(
                request,
                files=self._files,
                database=self._database,
                listener=self._name,
                asks_as=self._settings.asks_as(self._live.now.neighbours.destinations),
            )
        except RejectedInput as error:
            status = _status(error)
            log.warning("refused", status=f"0x{status:04X}", reason=str(error))
            return StoreAnswer(status, str(error))
        except Unavailable as error:
            log.error("not stored", status=f"0x{OUT_OF_RESOURCES:04X}", reason=str(error))
            return StoreAnswer(OUT_OF_RESOURCES, LATER)
        except Exception as error:  # noqa: BLE001 - one of the three places: it becomes a status
            # The object may be fine: the sender keeps it and tries again. Messages of others may hold values of it.
            log.error("not stored", status=f"0x{OUT_OF_RESOURCES:04X}", error=type(error).__name__, at=_places(error))
            return StoreAnswer(OUT_OF_RESOURCES, LATER)
        log.debug("received", outcome=recorded.value)
        return StoreAnswer()

    def _closed(self, caller: Caller, released: bool) -> None:
        peer = (caller.calling_ae_title, caller.address)
        is_new = self._calls.take(peer, self._database.clock()) == peer
        try:
            with self._database.write() as session:
                associations.closed(session, caller.id, released=released)
                if is_new:
                    callers.called(session, *peer)
        except Unavailable as error:
            self.log.warning("association not closed in the index; it goes stale", reason=str(error))

    def _refused(self, calling_ae_title: str, address: str, reason: str) -> None:
        self.log.warning("association rejected", calling_ae_title=calling_ae_title, address=address, reason=reason)
        rejection, at = Rejection(calling_ae_title, address, reason), self._database.clock()
        noted = self._rejections.take(rejection, at)
        told = None if reason == FULL else self._rejections_told.take(rejection, at)  # a peer that may come later
        self._note_rejected([noted] if noted else [], {told: 1} if told else {})

    def _tell_rejections(self, *, at: float) -> None:
        """Tell how often callers were rejected again since that was last told."""
        self._rejections.due(at)
        self._note_rejected([], self._rejections_told.due(at))

    def _note_rejected(self, noted: Sequence[Rejection], told: Mapping[Rejection, int]) -> None:
        if not noted and not told:
            return
        try:
            with self._database.write() as session:
                for who in noted:
                    callers.rejected(session, who)
                for who, times in told.items():
                    callers.tell_rejected(session, who, times=times)
        except Unavailable as error:
            self.log.warning("a rejected association could not be noted", reason=str(error))

    def _verified(self, caller: Caller) -> None:
        peer = (caller.calling_ae_title, caller.address)
        if self._verifications.take(peer, self._database.clock()) != peer:
            return
        try:
            with self._database.write() as session:
                callers.verified(session, *peer)
        except Unavailable as error:
            self.log.warning("a C-ECHO could not be noted", reason=str(error))

    def _committed(self, report: CommitmentReport) -> None:
        try:
            with self._database.write() as session:
                concerned = confirmations.reported(
                    session,
                    report.transaction_uid,
                    committed=report.committed,
                    failed=dict(report.failed),
                    next_at=self._database.clock() + self._settings.confirmation.report_wait_s,
                )
        except Unavailable as error:  # the archive is asked by C-FIND instead
            self.log.warning("a report of storage commitment could not be noted", reason=str(error))
            return
        self.log.info(
            "storage commitment",
            transaction_uid=report.transaction_uid,
            committed=len(report.committed),
            failed=len(report.failed),
            concerned=concerned,
        )

    def _announced(self, said: Announcement) -> bool:
        try:
            with self._database.write() as session:
                evidence.announce(session, said)
        except Unavailable as error:
            self.log.warning("what a peer says of a study could not be noted", reason=str(error))
            return False
        self.log.info("announced", study_uid=said.study_uid, step=said.step, state=said.state, series=len(said.series))
        return True

    def _beat(self) -> None:
        """Show every few seconds which associations are open, so that a killed process's go stale."""
        while not self._stopped.wait(self._settings.timing.association_stale_s / 6):
            self._tell_rejections(at=self._database.clock())
            open_now = [caller.id for caller in self._scp.callers()]
            if not open_now:
                continue
            try:
                with self._database.write() as session:
                    associations.beat(session, open_now)
            except Unavailable as error:
                self.log.warning("associations could not be shown alive", reason=str(error))


class _Peers:
    """Who may connect, as it is now."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def __iter__(self) -> Iterator[Peer]:
        return (Peer(peer.ae_title, peer.addresses) for peer in self._live.peers)


def _status(error: DicomAiError) -> int:
    return next(status for kind, status in STATUSES.items() if isinstance(error, kind))


def _places(error: BaseException) -> list[str]:
    """Return the traceback as file, line and function: where, without any value of the data set."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return places
