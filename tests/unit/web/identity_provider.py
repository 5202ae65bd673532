"""An identity provider of the tests' own on loopback: it signs what a test lets it say, and checks what it is asked."""

import json
import threading
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT = "dicom-ai"
SECRET = "what only both know"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class IdentityProvider:
    """claims: what it says of whoever logs in next. changes: what it says wrongly, for a test of what is refused."""

    key: rsa.RSAPrivateKey
    claims: dict[str, Any] = field(default_factory=dict)
    host: str = "127.0.0.1"
    changes: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    key_name: str = "one"
    signed_by: rsa.RSAPrivateKey | None = None
    algorithm: str = "RS256"
    calls: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.calls.append(self.path)
                if "/authorize?" in self.path:  # whoever asks is logged in here already
                    self.send_response(303)
                    self.send_header("Location", provider.way_back(self.path))
                    self.end_headers()
                    return
                self._answer(*provider.get(self.path))

            def do_POST(self) -> None:
                provider.calls.append(self.path)
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self._answer(*provider.token({key: values[0] for key, values in parse_qs(text).items()}))

            def _answer(self, status: int, content: dict[str, Any]) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://{self.host}:{self.server.server_port}/realms/hospital"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def log_in(self, address: str) -> dict[str, str]:
        """Do what a person does at the address a browser was sent to; return what the browser brings back."""
        asked = {key: values[0] for key, values in parse_qs(urlsplit(address).query).items()}
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        code = f"code {len(self.codes)}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"], "iss": self.issuer}

    def way_back(self, address: str) -> str:
        """Return where a browser that was sent to an address goes back to."""
        (back,) = parse_qs(urlsplit(address).query)["redirect_uri"]
        return f"{back}?{urlencode(self.log_in(address))}"

    def get(self, path: str) -> tuple[int, dict[str, Any]]:
        place = path.removeprefix("/realms/hospital")
        known = {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
            },
            "/keys": {"keys": [self._public()]},
            "/userinfo": self.userinfo,
        }
        return (200, known[place]) if place in known else (404, {})

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Give a token for a code, once, to whom the code was for."""
        asked = self.codes.pop(form["code"], None)
        if asked is None:
            return 400, {"error": "invalid_grant"}
        digest = urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        fits = digest == asked["code_challenge"] and form["redirect_uri"] == asked["redirect_uri"]
        if not fits or (form["client_id"], form.get("client_secret")) != (CLIENT, SECRET):
            return 401, {"error": "invalid_client"}
        at = int(time.time())
        usual = {"iss": self.issuer, "aud": CLIENT, "iat": at, "exp": at + 300, "nonce": asked["nonce"]}
        said = {key: value for key, value in (usual | self.claims | self.changes).items() if value is not None}
        key: Any = SECRET * 3 if self.algorithm == "HS256" else None if self.algorithm == "none" else self._signing
        headers = {"kid": self.key_name}
        return 200, {
            "id_token": jwt.encode(said, key, algorithm=self.algorithm, headers=headers),
            "access_token": "access",
        }

    @property
    def _signing(self) -> rsa.RSAPrivateKey:
        return self.signed_by or self.key

    def _public(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return public | {"kid": self.key_name, "use": "sig"}
