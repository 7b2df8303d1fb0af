"""What a page says once: that something was done. An address can't make a page say it.

It waits in a cookie, under a keyed hash of the page that is to say it and of the session, where
there is one.
"""

import hmac
from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from keyturn.actions.service import Service
from keyturn.core.recovery import length_prefixed
from keyturn.dashboard import cookies

COOKIE = "keyturn-done"
SECONDS = 60


def leave(request: Request, response: Response, path: str, text: str, session_id: str = "") -> None:
    """Let the next page say this, if it is the one at `path` and of this session."""
    message = _message(session_id, path, text)
    digest = _service(request).keyring.mac(message).digest.hex()
    cookies.put(request, response, COOKIE, f"{digest}.{quote(text, safe='')}", SECONDS)


def find(request: Request, path: str, session_id: str = "") -> str:
    """What the page at `path` is to say; empty where there is nothing."""
    digest, _, quoted = (cookies.read(request, COOKIE) or "").partition(".")
    text = unquote(quoted)
    candidates = _service(request).keyring.candidates(_message(session_id, path, text))
    right = any(
        hmac.compare_digest(mac.digest.hex().encode(), digest.encode()) for mac in candidates
    )
    return text if right else ""


def clear(request: Request, response: Response) -> None:
    """It was said."""
    cookies.remove(request, response, COOKIE)


def _message(session_id: str, path: str, text: str) -> bytes:
    return length_prefixed([b"done", session_id.encode(), path.encode(), text.encode()])


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service
