"""Peers that take results, on loopback, under the names and ports that the hospital's have."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from pydicom.dataset import Dataset
from pydicom.uid import EncapsulatedPDFStorage, SecondaryCaptureImageStorage
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.events import Event
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ComprehensiveSRStorage,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from dicom_ai.dimse.scu import CallingAe
from tests.page_pictures.hospital import ADDED, DESTINATIONS
from tests.peers import free_port

PENDING, SUCCESS, CANNOT_UNDERSTAND = 0xFF00, 0x0000, 0xC001
STORED_BY_WORKSTATION = (ComprehensiveSRStorage, EncapsulatedPDFStorage, SecondaryCaptureImageStorage)
HOSTS = {item.name: str(item.parameters["host"]) for item in (*DESTINATIONS, ADDED)}


@dataclass
class Archives:
    """What they know of studies and hold, and how they behave. refused: studies that the workstation cannot read.

    research_answers: whether the machine of the research archive is on.
    """

    known: dict[str, Dataset] = field(default_factory=dict)
    held: dict[str, Dataset] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    research_answers: bool = True

    def find(self, event: Event) -> Iterator[tuple[int, Dataset]]:
        """Answer a C-FIND: what is known of a study, or the object that is held."""
        asked = event.identifier
        image = asked.QueryRetrieveLevel == "IMAGE"
        there = (self.held if image else self.known).get(asked.SOPInstanceUID if image else asked.StudyInstanceUID)
        if there is not None:
            answer = Dataset()
            answer.QueryRetrieveLevel = asked.QueryRetrieveLevel
            for element in asked:
                answer[element.tag] = there.get(element.tag, element) if element.tag in there else element
            answer.QueryRetrieveLevel = asked.QueryRetrieveLevel
            yield PENDING, answer

    def store(self, event: Event) -> int:
        """Take an object."""
        self.held[str(event.dataset.SOPInstanceUID)] = event.dataset
        return SUCCESS

    def look_and_store(self, event: Event) -> int:
        """Take an object unless it is of a study that this one does not understand."""
        return CANNOT_UNDERSTAND if event.dataset.StudyInstanceUID in self.refused else SUCCESS


@contextmanager
def running() -> Iterator[Archives]:
    """Run them; whoever calls one of the hospital's addresses reaches them, or nobody."""
    theirs = Archives()
    every = [str(context.abstract_syntax) for context in AllStoragePresentationContexts]
    closed = free_port()
    with ExitStack() as servers:
        archive = _listening(servers, [*every, StudyRootQueryRetrieveInformationModelFind], theirs.store, theirs.find)
        workstation = _listening(servers, STORED_BY_WORKSTATION, theirs.look_and_store, theirs.find)

        def port_of(host: str) -> int:
            ports = {HOSTS["pacs"]: archive, HOSTS["neuro-workstation"]: workstation}
            return ports.get(host, archive if theirs.research_answers else closed)

        associate = CallingAe.associate

        def reroute(self: CallingAe, host: str, port: int, **named: Any) -> Any:
            return associate(self, "127.0.0.1", port_of(host), **named)

        with patch.object(CallingAe, "associate", reroute):
            yield theirs


def _listening(servers: ExitStack, classes: Any, store: Any, find: Any) -> int:
    entity = AE("ARCHIVE")
    for sop_class in (*classes, Verification):
        entity.add_supported_context(sop_class)
    handlers: list[Any] = [(evt.EVT_C_STORE, store), (evt.EVT_C_FIND, find)]
    server: Any = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    servers.callback(server.shutdown)
    return int(server.socket.getsockname()[1])
