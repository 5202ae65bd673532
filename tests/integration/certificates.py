"""Certificates for tests, made with openssl on the spot."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.peers import need_program


@dataclass(frozen=True)
class Certificates:
    """PEM files of an authority, a node called localhost, and a peer."""

    authority: Path
    node: Path
    node_key: Path
    peer: Path
    peer_key: Path


def make_certificates(folder: Path) -> Certificates:
    """Make an authority and two certificates it signed, valid for a day."""
    openssl = need_program("openssl")
    folder.mkdir(parents=True, exist_ok=True)

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "1", "-subj", "/CN=test authority")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name in ("node", "peer"):
        run("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=localhost")
        run(
            *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
            *("-out", f"{name}.pem", "-days", "1", "-extfile", "names"),
        )
    return Certificates(
        folder / "ca.pem", folder / "node.pem", folder / "node.key", folder / "peer.pem", folder / "peer.key"
    )
