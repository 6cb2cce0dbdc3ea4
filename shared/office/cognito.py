"""Signing in at Cognito's managed login: OpenID Connect's authorization code flow, with PKCE.

The libraries for it take as long to import as all else that the dashboard does: they are imported by the visit that
signs in, so that no other waits for them.
"""

import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import urllib3
from msgspec import Struct

ALGORITHMS = ["RS256"]
"""What Cognito signs with. None at all, or one for which a public key is the secret, is no signature."""
LEEWAY_SECONDS = 60
OVER = "Cognito has ended this session."
TIMEOUT = urllib3.Timeout(connect=2, read=5)


class NotSignedIn(Exception):
    """The message is for the visitor."""


class NoAnswer(Exception):
    """Cognito does not answer, or fails."""


class SignInAttempt(Struct, frozen=True):
    """Where to sign in, and what has to be kept meanwhile, by the visitor's browser and nobody else."""

    url: str
    state: str
    nonce: str
    verifier: str

    def __repr__(self) -> str:
        return "SignInAttempt()"


class SignedIn(Struct, frozen=True):
    """A user by name, and the token with which Cognito says whether the user's session still holds."""

    name: str
    refresh_token: str

    def __repr__(self) -> str:
        return "SignedIn()"


class Cognito:
    """`url` is that of the managed login, without a slash at its end; `issuer` whose tokens we take; `secret` is ours.
    One for all visits of a process: it keeps connections, and the keys that tokens are signed with."""

    def __init__(self, url: str, issuer: str, client_id: str, secret: str) -> None:
        self.url = url
        self._issuer = issuer
        self._client_id = client_id
        self._secret = secret
        self._http = urllib3.PoolManager(timeout=TIMEOUT, retries=False)
        self._keys: Any = None

    def begin(self, back: str) -> SignInAttempt:
        """`back` is where Cognito sends the visitor with a code."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        client = self._client(back)
        url, _ = client.create_authorization_url(
            f"{self.url}/oauth2/authorize", state=state, nonce=nonce, code_verifier=verifier, prompt="login"
        )
        return SignInAttempt(url, state, nonce, verifier)

    def logout_url(self, back: str) -> str:
        """Where Cognito forgets who has signed in. `back` is where it sends the visitor then."""
        return f"{self.url}/logout?{urlencode({'client_id': self._client_id, 'logout_uri': back})}"

    def user(self, query: Mapping[str, str], attempt: SignInAttempt, back: str, now: int) -> SignedIn:
        """The user who came back from `attempt` with this query, at `now`, in seconds since the epoch.

        Raises `NotSignedIn` and `NoAnswer`.
        """
        from authlib.oauth2 import OAuth2Error

        if not hmac.compare_digest(query.get("state", "").encode(), attempt.state.encode()):
            raise NotSignedIn("This is not the way back from a sign-in that was begun in this browser.")
        if not query.get("code"):
            raise NotSignedIn("The sign-in was not completed.")
        try:
            tokens = self._client(back).fetch_token(
                f"{self.url}/oauth2/token", code=query["code"], code_verifier=attempt.verifier
            )
        except (OAuth2Error, ValueError):  # the second where its error has letters that it may not have
            raise NotSignedIn("The code of this sign-in was used before, or is over.") from None
        return SignedIn(self._name(tokens, attempt.nonce, now), str(tokens.get("refresh_token", "")))

    def renew(self, signed_in: SignedIn, now: int) -> SignedIn:
        """The same user, if session and account still exist at Cognito.

        Raises `NotSignedIn` and `NoAnswer`.
        """
        from authlib.oauth2 import OAuth2Error

        try:
            tokens = self._client("", scope=None).refresh_token(
                f"{self.url}/oauth2/token", refresh_token=signed_in.refresh_token
            )
        except (OAuth2Error, ValueError):
            raise NotSignedIn(OVER) from None
        if self._name(tokens, None, now) != signed_in.name:
            raise NotSignedIn(OVER)
        return SignedIn(signed_in.name, str(tokens.get("refresh_token") or signed_in.refresh_token))

    def _name(self, tokens: Mapping[str, Any], nonce: str | None, now: int) -> str:
        """OpenID Connect Core 1.0, 3.1.3.7, and Cognito's own `token_use`."""
        from authlib.oidc.core import CodeIDToken
        from joserfc.errors import JoseError

        try:
            token = self._read(tokens["id_token"])
            claims = CodeIDToken(
                token.claims,
                token.header,
                options={name: {"essential": True, "value": value} for name, value in self._essential().items()},
                params={
                    "client_id": self._client_id,
                    "access_token": tokens.get("access_token"),
                    **({"nonce": nonce} if nonce else {}),
                },
            )
            claims.validate(now=now, leeway=LEEWAY_SECONDS)
            return str(claims["cognito:username"])
        except (JoseError, KeyError, TypeError, ValueError):
            raise NotSignedIn("What Cognito says of this sign-in is not valid.") from None

    def _essential(self) -> dict[str, str]:
        return {"iss": self._issuer, "aud": self._client_id, "token_use": "id"}

    def _read(self, text: str) -> Any:
        """The token, its signature verified. Keys that are new since we asked for them are asked for once more."""
        from joserfc import jwt
        from joserfc.errors import InvalidKeyIdError
        from joserfc.jwk import KeySet

        known, self._keys = self._keys, self._keys or KeySet.import_key_set(self._get_keys())
        try:
            return jwt.decode(text, self._keys, algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            if known is None:
                raise
            self._keys = None
            return self._read(text)

    def _get_keys(self) -> Any:
        return self._request("GET", f"{self._issuer}/.well-known/jwks.json").json()

    def _client(self, back: str, scope: str | None = "openid") -> Any:
        from authlib.oauth2 import OAuth2Client

        return OAuth2Client(
            self,
            client_id=self._client_id,
            client_secret=self._secret,
            scope=scope,
            redirect_uri=back,
            code_challenge_method="S256",
        )

    def post(self, url: str, data: Mapping[str, str], headers: Mapping[str, str], auth: Any) -> "Reply":
        """What `OAuth2Client` wants of a session."""
        url, sent, body = auth.prepare("POST", url, {**headers}, urlencode(data))
        return self._request("POST", url, headers=sent, body=body)

    def _request(self, method: str, url: str, **sent: Any) -> "Reply":
        try:
            answer = self._http.request(method, url, **sent)
        except urllib3.exceptions.HTTPError:
            raise NoAnswer from None
        if answer.status not in (200, 400, 401):
            raise NoAnswer
        return Reply(answer.status, answer.data)


class Reply(Struct, frozen=True):
    """What `OAuth2Client` wants of a response."""

    status_code: int
    body: bytes

    def json(self) -> Any:
        """An object. Raises `NoAnswer`."""
        try:
            found = json.loads(self.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise NoAnswer
        return found
