"""The cookies of the dashboard: a session's credential, and the mark of a known browser.

Over HTTPS their names begin with `__Host-`, so that no other host or path can set them (RFC
6265bis, section 4.1.3.2). Plain HTTP can't have that, which is why it is for loopback only.
"""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

SESSION = "keyturn-session"
DEVICE = "keyturn-device"
DEVICE_SECONDS = 365 * 86400
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def read(request: Request, name: str) -> str | None:
    """The cookie's value; None where there is none."""
    return request.cookies.get(_named(request, name))


def put(request: Request, response: Response, name: str, value: str, seconds: int) -> None:
    """Set the cookie for so long."""
    response.set_cookie(
        _named(request, name),
        value,
        max_age=seconds,
        path="/",
        secure=_is_secure(request),
        httponly=True,
        samesite="lax",
    )


def remove(request: Request, response: Response, name: str) -> None:
    """Take the cookie away."""
    response.delete_cookie(
        _named(request, name), path="/", secure=_is_secure(request), httponly=True, samesite="lax"
    )


def crosses_network_readable(public_url: str) -> bool:
    """Whether passwords and cookies can be read on their way: no TLS, and not this machine."""
    parts = urlsplit(public_url)
    return parts.scheme != "https" and parts.hostname not in _LOOPBACK


def is_own_site(origin: str | None, fetch_site: str | None) -> bool:
    """Whether the browser says that a form was sent from a page of the site that it was sent to.

    `origin` is RFC 6454's header and `fetch_site` Fetch Metadata's `Sec-Fetch-Site`. No browser
    leaves both out, and what is no browser has no cookie that somebody else could use.
    """
    return origin != "null" and fetch_site in (None, "same-origin", "none")


def is_own_origin(public_url: str, origin: str) -> bool:
    """Whether pages of this origin are ours.

    On one machine its names are one: people type 127.0.0.1 where localhost is configured.
    """
    return _comparable(origin) == _comparable(public_url)


def _comparable(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ("", None, None)
    host = "localhost" if parts.hostname in _LOOPBACK else parts.hostname
    return (parts.scheme, host, port)


def _named(request: Request, name: str) -> str:
    return f"__Host-{name}" if _is_secure(request) else name


def _is_secure(request: Request) -> bool:
    url: str = request.app.state.public_url
    return url.startswith("https://")
