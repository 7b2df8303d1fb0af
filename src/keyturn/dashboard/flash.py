"""What a page says once: that something was done. An address can't make a page say it.

It waits in a cookie, under a keyed hash of the session and of the page that is to say it.
"""

import hmac
from urllib.parse import quote, unquote

from starlette.responses import Response

from keyturn.core.recovery import length_prefixed
from keyturn.dashboard import cookies
from keyturn.dashboard.visits import Visit

COOKIE = "keyturn-done"
SECONDS = 60


def leave(on: Visit, response: Response, path: str, text: str, session_id: str) -> None:
    """Let the next page say this, if it is the one at `path` and of this session."""
    digest = on.service.keyring.mac(_message(session_id, path, text)).digest.hex()
    cookies.put(on.request, response, COOKIE, f"{digest}.{quote(text, safe='')}", SECONDS)


def find(on: Visit, path: str) -> str:
    """What the page at `path` is to say; empty where there is nothing."""
    digest, _, quoted = (cookies.read(on.request, COOKIE) or "").partition(".")
    text = unquote(quoted)
    candidates = on.service.keyring.candidates(_message(on.session.id, path, text))
    right = any(
        hmac.compare_digest(mac.digest.hex().encode(), digest.encode()) for mac in candidates
    )
    return text if right else ""


def clear(on: Visit, response: Response) -> None:
    """It was said."""
    cookies.remove(on.request, response, COOKIE)


def _message(session_id: str, path: str, text: str) -> bytes:
    return length_prefixed([b"done", session_id.encode(), path.encode(), text.encode()])
