"""A Cognito of our own on this machine: its managed login lets everybody in who is named, its tokens are what a test
wants them to be."""

import base64
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from shared.office.cognito import Cognito

CLIENT_ID = "ringpost-dashboard"
SECRET = "what Cognito knows the dashboard by"

Claims = dict[str, Any]


def a_key(kid: str = "first") -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


def signed(claims: Claims, key: RSAKey) -> str:
    return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key, algorithms=["RS256"])


@dataclass
class FakeCognito:
    """`sign` makes the id token of its claims. `user` is who comes from the managed login. `down` answers nothing but
    503; `asked` counts how often its keys were asked for, `renewals` how often a session was asked about. Those of
    `ended` users have no session any more."""

    url: str = ""
    key: RSAKey = field(default_factory=a_key)
    user: str = "olga"
    now: Callable[[], int] = lambda: int(time.time())
    sign: Callable[[Claims, RSAKey], Any] = signed
    down: bool = False
    asked: int = 0
    renewals: int = 0
    ended: set[str] = field(default_factory=set)
    refresh_tokens: dict[str, str] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"{self.url}/pool"

    def client(self) -> Cognito:
        return Cognito(self.url, self.issuer, CLIENT_ID, SECRET)

    def way_back(self, location: str) -> str:
        """Where the managed login at `location` sends its visitor."""
        at, wanted = urlsplit(location), dict(parse_qsl(urlsplit(location).query))
        assert f"{at.scheme}://{at.netloc}{at.path}" == f"{self.url}/oauth2/authorize"
        assert (wanted["response_type"], wanted["client_id"], wanted["scope"]) == ("code", CLIENT_ID, "openid")
        assert (wanted["code_challenge_method"], wanted["prompt"]) == ("S256", "login")
        assert wanted["nonce"] != wanted["state"]
        code = secrets.token_urlsafe(8)
        self.codes[code] = wanted
        return f"{wanted['redirect_uri']}?{urlencode({'code': code, 'state': wanted['state']})}"

    def tokens(self, authorization: str, sent: dict[str, str]) -> tuple[int, Any]:
        """The token endpoint: RFC 6749, 4.1.3 and 6, and RFC 7636, 4.6."""
        if authorization != f"Basic {base64.b64encode(f'{CLIENT_ID}:{SECRET}'.encode()).decode()}":
            return 401, {"error": "invalid_client"}
        if sent["grant_type"] == "refresh_token":
            assert sent.keys() == {"grant_type", "refresh_token"}
            self.renewals += 1
            user = self.refresh_tokens.get(sent["refresh_token"], "")
            if not user or user in self.ended:
                return 400, {"error": "invalid_grant"}
            return 200, self._made(user, {})
        given = self.codes.pop(sent.get("code", ""), None)
        digest = sha256(sent.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if given is None or given["code_challenge"] != challenge or given["redirect_uri"] != sent.get("redirect_uri"):
            return 400, {"error": "invalid_grant"}
        refresh_token = secrets.token_urlsafe(8)
        self.refresh_tokens[refresh_token] = self.user
        return 200, self._made(self.user, {"nonce": given["nonce"]}) | {"refresh_token": refresh_token}

    def _made(self, user: str, more: Claims) -> Any:
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": "00000000-0000-4000-8000-000000000001",
            "cognito:username": user,
            "token_use": "id",
            "iat": self.now(),
            "exp": self.now() + 300,
            **more,
        }
        tokens = {"access_token": "for nothing", "token_type": "Bearer", "expires_in": 300}
        return tokens | {"id_token": self.sign(claims, self.key)}

    def keys(self) -> Any:
        self.asked += 1
        return KeySet([self.key]).as_dict(private=False)


@contextmanager
def running() -> Iterator[FakeCognito]:
    fake = FakeCognito()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            at = urlsplit(self.path)
            if at.path == "/oauth2/authorize":
                self._answer(302, {}, fake.way_back(f"{fake.url}{self.path}"))
            elif at.path == "/logout":
                self._answer(302, {}, parse_qs(at.query)["logout_uri"][0])
            elif at.path == "/pool/.well-known/jwks.json":
                self._answer(503 if fake.down else 200, fake.keys())
            else:
                self._answer(404, {})

        def do_POST(self) -> None:
            sent = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
            assert sent["grant_type"] in ("authorization_code", "refresh_token")
            answer = fake.tokens(self.headers["authorization"], sent)
            self._answer(*((503, {}) if fake.down else answer))

        def _answer(self, code: int, body: Any, location: str = "") -> None:
            content = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            if location:
                self.send_header("location", location)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield fake
        server.shutdown()
        thread.join()
