"""Templates become answers: everything escaped, and nothing from anywhere else allowed."""

import hashlib
import json
import secrets
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from keyturn.actions.issue_credentials import Pair
from keyturn.core.agent import DAY
from keyturn.core.credential import Credential
from keyturn.core.errors import InvalidToken, KeyturnError, SessionEnded, Unavailable
from keyturn.core.instant import rfc3339
from keyturn.core.key_age import key_age, period_gone
from keyturn.dashboard import cookies, flash
from keyturn.dashboard.charts import meter
from keyturn.dashboard.refusals import Refusal, refusal
from keyturn.dashboard.visits import Visit, Visitor
from keyturn.problems import Problem, status_of

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
MAX_FIELD = 8192
"""UTF-16 units of the longest text that a field takes, which is how `maxlength` counts."""
_MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_SECOND, _MINUTE, _HOUR = 1000, 60_000, 3_600_000


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file of ours as it is sent; `version` changes with its content."""

    content: bytes
    media_type: str
    version: str


@cache
def static_files() -> dict[str, StaticFile]:
    """Every static file by its name."""
    found = {}
    for file in files("keyturn.dashboard").joinpath("static").iterdir():
        content = file.read_bytes()
        version = hashlib.sha256(content).hexdigest()[:12]
        found[file.name] = StaticFile(content, _MEDIA_TYPES[file.name.rpartition(".")[2]], version)
    return found


def page(
    visitor: Visitor,
    template: str,
    *,
    status: int = 200,
    error: KeyturnError | None = None,
    **values: Any,
) -> HTMLResponse:
    """A page for this visitor; `error` is why what they have sent was refused.

    Raises:
        KeyturnError: the error, where it has a page of its own.
    """
    if isinstance(error, SessionEnded | InvalidToken | Unavailable):
        raise error
    root = visitor.request.scope.get("root_path", "")
    here = visitor.request.url.path.removeprefix(root)
    session = visitor.session if isinstance(visitor, Visit) else None
    done = flash.find(visitor.request, here, session.id if session else "")
    shown = {
        "root": root,
        "here": here,
        "done": done,
        "form_id": secrets.token_hex(16),
        "now": visitor.service.now(),
        "session": session,
        "csrf": visitor.csrf if isinstance(visitor, Visit) else "",
        "ask_password": isinstance(visitor, Visit) and not visitor.is_recent,
        "readable": cookies.crosses_network_readable(visitor.public_url),
        "public_url": visitor.public_url,
        "error": refusal(error) if error else None,
        "typed": visitor.form.typed,
        **values,
    }
    status = status_of(error) if error else status
    html = _environment().get_template(template).render(shown)
    told = shown["error"]
    if told and told.field and f'id="{told.field}"' not in html:
        # The page has come to have no such field: nothing may lead there.
        html = _environment().get_template(template).render(shown | {"error": Refusal(told.text)})
    response = HTMLResponse(html, status)
    if done and visitor.request.method != "HEAD":
        flash.clear(visitor.request, response)
    return response


def error_page(root: str, refused: Problem) -> Problem:
    """The same error as a page that says what is wrong, for whoever it may be."""
    told = json.loads(refused.body)
    shown = {
        "root": root,
        "session": None,
        "here": "",
        "readable": False,
        "error": None,
        "problem": told,
    }
    body = _environment().get_template("error.html").render(shown).encode()
    headers = {**refused.headers, **SECURITY_HEADERS, "content-type": "text/html; charset=utf-8"}
    headers.pop("www-authenticate", None)
    return Problem(refused.status, headers, body)


def show_once(
    on: Visit, heading: str, path: str, secrets: dict[str, Credential], name: str
) -> Response:
    """The page of what is never shown again; `path` is where the visitor goes on."""
    shown = {label: credential.reveal() for label, credential in secrets.items()}
    return page(on, "shown_once.html", heading=heading, path=path, secrets=shown, name=name)


def show_pair(on: Visit, heading: str, agent_id: str, name: str, pair: Pair) -> Response:
    """The page of an agent's new credentials."""
    secrets = {"API key": pair.api_key}
    if pair.rotation_secret:
        secrets["Rotation secret"] = pair.rotation_secret
    return show_once(on, heading, f"/dashboard/agents/{agent_id}", secrets, name)


def see(visitor: Visitor, path: str) -> Response:
    """Send the visitor on to a page of ours (303: what was posted is not posted again)."""
    return RedirectResponse(visitor.request.scope.get("root_path", "") + path, 303)


def see_done(on: Visit, path: str, text: str, session_id: str = "") -> Response:
    """Send the visitor on to a page of ours, which says once what was done.

    `session_id` is of the session that they go on with, where that is another one.
    """
    response = see(on, path)
    page_path = path.partition("?")[0]
    flash.leave(on.request, response, page_path, text, session_id or on.session.id)
    return response


def local_path(path: str) -> str:
    """A page of the dashboard to go on to; the overview where it is anything else."""
    ours = path == "/dashboard" or path.startswith(("/dashboard/", "/dashboard?"))
    # Browsers drop control characters and take a backslash for a slash: neither is in our paths.
    plain = path.isascii() and path.isprintable() and "\\" not in path
    return path if ours and plain else "/dashboard"


def for_people(milliseconds: int) -> str:
    """A span in its largest unit, such as 3 days or 5 minutes."""
    for size, unit in ((DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute"), (_SECOND, "second")):
        if milliseconds >= size:
            count = milliseconds // size
            return f"{count} {unit}{'' if count == 1 else 's'}"
    return "a moment"


def readable_utc(milliseconds: int) -> str:
    """An instant to the minute, such as 2026-11-28 09:30 UTC."""
    return rfc3339(milliseconds)[:16].replace("T", " ") + " UTC"


def pretty(value: object) -> str:
    """A JSON value as people read it; in one line where its indentation makes it too long."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if len(text.encode()) > MAX_FIELD:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("keyturn.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "rfc3339": rfc3339,
        "utc": readable_utc,
        "span": for_people,
        "count": lambda number: f"{number:,}",
        "pretty": pretty,
    }
    environment.globals |= {
        "static": {name: file.version for name, file in static_files().items()},
        "key_age": key_age,
        "max_field": MAX_FIELD,
        "meter": meter,
        "period_gone": period_gone,
    }
    return environment
