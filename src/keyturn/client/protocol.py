"""What the agent asks Keyturn, and what Keyturn's answers mean. No I/O.

A function that takes an answer apart returns a value and never raises: while it runs, it has the
new credentials in plain variables, which a traceback would show.
"""

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from keyturn import wire
from keyturn.client.credentials import (
    DEFAULT_PERIOD,
    LONGEST_PERIOD,
    Holder,
    Registration,
    Rotation,
    parse_credential,
    parse_instant,
)
from keyturn.client.effects import Answer, Lost
from keyturn.client.errors import (
    ClientError,
    CredentialsRefused,
    InvalidInput,
    Limited,
    NeedsDeveloper,
    NotKeyturn,
)
from keyturn.core.credential import Kind, redact

PLAUSIBLE_YEARS = range(2000, 3000)
NOTHING_LOST = (
    "Nothing is lost: the credentials file keeps the unfinished request, and the server answers "
    "it again with the same credentials."
)
UNCHANGED = "The credentials file is as it was."
KEPT = "The credentials file still has the credentials, and the unfinished request."
NOT_REGISTERED = "No agent was lost: the credentials file has only the unfinished request."

CLOCKS_AGREE = timedelta(hours=1)

NEXT_STEPS = {
    "agent_revoked": "Ask the agent's developer to reinstate it, and put the new pair into the "
    "credentials file.",
    "agent_quarantined": "Ask the agent's developer to rotate its key, and put the new pair into "
    "the credentials file.",
    "no_rotation_secret": "Ask the agent's developer to configure a rotation secret, and put it "
    "into the credentials file.",
    "registration_closed": "Ask a developer of this service to create the agent.",
}


@dataclass(frozen=True, slots=True)
class ServerView:
    """What the server says of the agent; instants are in UTC."""

    agent_name: str
    status: str
    generation: int
    key_created_at: datetime
    rotation_due_at: datetime
    rotation_secret_configured: bool
    credit_balance: int
    clock_ahead: timedelta
    """How far this machine's clock is ahead of the server's; 0 where that is under an hour."""


def rotation_request(url: str, holder: Holder, pending: Rotation) -> httpx.Request:
    """The request for a new pair: the same for the same arguments."""
    return _with_both(url + wire.ROTATE_SELF, holder, _repeatable(pending))


def registration_request(url: str, pending: Registration) -> httpx.Request:
    """The request for an agent: the same for the same arguments."""
    body = {} if pending.name is None else {"name": pending.name}
    if pending.enrolment_token is not None:
        body["enrolmentToken"] = pending.enrolment_token.reveal()
    return httpx.Request("POST", url + wire.REGISTER, headers=_repeatable(pending), json=body)


def revocation_request(url: str, holder: Holder) -> httpx.Request:
    """The request that ends the agent."""
    return _with_both(url + wire.REVOKE_SELF, holder, {})


def self_request(url: str, holder: Holder) -> httpx.Request:
    """The request for what the server knows of the agent."""
    return httpx.Request("GET", url + wire.SELF, headers=bearer(holder))


def bearer(holder: Holder) -> dict[str, str]:
    """The header that an agent authenticates with (RFC 6750, section 2.1)."""
    return {"Authorization": f"Bearer {holder.api_key.reveal()}"}


def rotated(answer: Answer, holder: Holder, now: datetime) -> Holder | None:
    """The agent with its new pair, or None where this is no answer to a rotation of it.

    The dates are by the local clock, until the server has been asked for them.
    """
    members = json_object(answer)
    api_key = parse_credential(members.get("apiKey"), Kind.API_KEY)
    secret = parse_credential(members.get("rotationSecret"), Kind.ROTATION_SECRET)
    if members.get("agentId") != holder.agent_id or api_key is None or secret is None:
        return None
    return holder.successor(api_key, secret, now)


def registered(answer: Answer, now: datetime) -> Holder | None:
    """The agent that was made, or None where this is no answer to a registration."""
    members = json_object(answer)
    agent_id, name = members.get("agentId"), members.get("name")
    api_key = parse_credential(members.get("apiKey"), Kind.API_KEY)
    secret = parse_credential(members.get("rotationSecret"), Kind.ROTATION_SECRET)
    if not isinstance(agent_id, str) or not isinstance(name, str):
        return None
    if api_key is None or secret is None:
        return None
    return Holder(agent_id, name, api_key, secret, now, now + DEFAULT_PERIOD)


def viewed(answer: Answer, holder: Holder, now: datetime) -> ServerView | None:
    """What the server says of the agent, or None where it does not say it of this agent."""
    members = json_object(answer)
    created_at, due_at = (
        parse_instant(members.get(name)) for name in ("keyCreatedAt", "rotationDueAt")
    )
    found = [members.get(name) for name in ("agentName", "status", "generation", "creditBalance")]
    if members.get("agentId") != holder.agent_id or created_at is None or due_at is None:
        return None
    match found:
        case [str(name), str(status), int(generation), int(balance)] if (
            created_at.year in PLAUSIBLE_YEARS
            and timedelta(0) < due_at - created_at <= LONGEST_PERIOD
        ):
            configured = members.get("rotationSecretConfigured") is True
            ahead = _clock_ahead(answer, now)
            return ServerView(
                name, status, generation, created_at, due_at, configured, balance, ahead
            )
    return None


def dated(holder: Holder, view: ServerView) -> Holder:
    """The agent with the name that the server knows, and its dates by this machine's clock.

    By the server's, a machine whose clock is wrong would rotate at every request, or never.
    """
    return replace(
        holder,
        agent_name=view.agent_name,
        created_at=view.key_created_at + view.clock_ahead,
        due_at=view.rotation_due_at + view.clock_ahead,
    )


def is_again(answer: Answer | Lost) -> bool:
    """Whether the very same request can still succeed, because this was no final answer to it."""
    if isinstance(answer, Lost) or answer.status in (408, 409, 425, 429) or answer.status >= 500:
        return True
    return (
        answer.status < 300 and _is_of_type(answer, "application/json") and not json_object(answer)
    )


def retry_after(answer: Answer | Lost) -> float | None:
    """The seconds that the answer asks to wait for, if it does."""
    told = "" if isinstance(answer, Lost) else answer.headers.get("Retry-After", "")
    return float(told) if told.isascii() and told.isdigit() and len(told) < 7 else None


def code_of(answer: Answer) -> str:
    """The `code` of Keyturn's error, or nothing where this is none (RFC 9457)."""
    if answer.status < 400 or not _is_of_type(answer, "application/problem+json"):
        return ""
    code = json_object(answer).get("code")
    return code if isinstance(code, str) else ""


def refusal(answer: Answer, url: str, safe: str) -> ClientError | None:
    """The error that a final answer is; None for a success, which is judged elsewhere."""
    if answer.status < 300:
        return None
    code = code_of(answer)
    detail = _sentence(json_object(answer).get("detail")) if code else ""
    if code in NEXT_STEPS:
        return NeedsDeveloper(detail, safe, NEXT_STEPS[code])
    if answer.status == httpx.codes.UNAUTHORIZED and code == "invalid_enrolment_token":
        return CredentialsRefused(detail, safe, "Ask a developer for an enrolment token.")
    if answer.status == httpx.codes.UNAUTHORIZED and code:
        return CredentialsRefused(
            f"{url} refuses these credentials: somebody else has changed them, or removed the "
            "agent.",
            safe,
            "Find out who rotated (the audit trail has it). If it was not you, have the agent "
            "revoked. Its developer can rotate its key; put the new pair into the file.",
        )
    if code and answer.status not in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
        return InvalidInput(f"{url} refused: {detail}", safe, "Change what it names.")
    return not_keyturn(answer, url, safe)


def not_keyturn(answer: Answer, url: str, safe: str) -> NotKeyturn:
    """The error of an address whose answers are not Keyturn's."""
    what = "redirects elsewhere" if answer.status in range(300, 400) else "is not Keyturn's"
    return NotKeyturn(
        f"What answers at {url} {what} (status {answer.status}).",
        safe,
        "Check the address, and what stands between: a proxy, a login page, another service.",
    )


def limited(answer: Answer, seconds: float, safe: str) -> Limited:
    """The error of having asked too often."""
    detail = json_object(answer).get("detail")
    return Limited(
        _sentence(detail) if detail else "Too many attempts.",
        safe,
        f"Wait {seconds:.0f} seconds, then run it again.",
        seconds,
    )


def json_object(answer: Answer) -> dict[str, Any]:
    """The answer's JSON object; empty where it is none."""
    try:
        members = json.loads(answer.body)
        # A lone surrogate could be written into no file and onto no screen.
        json.dumps(members, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}


def _with_both(address: str, holder: Holder, headers: dict[str, str]) -> httpx.Request:
    return httpx.Request(
        "POST",
        address,
        headers={**bearer(holder), **headers},
        json={"rotationSecret": holder.rotation_secret.reveal()},
    )


def _repeatable(pending: Rotation | Registration) -> dict[str, str]:
    # A structured-field string: draft-ietf-httpapi-idempotency-key-header, section 2.1.
    return {wire.IDEMPOTENCY_KEY: f'"{pending.idempotency_key.reveal()}"'}


def _sentence(detail: object) -> str:
    """A server's sentence, harmless on a terminal whoever the server is."""
    shown = "".join(character for character in str(detail)[:200] if character.isprintable())
    return redact(shown).rstrip(".") + "."


def _clock_ahead(answer: Answer, now: datetime) -> timedelta:
    try:
        ahead = now - parsedate_to_datetime(answer.headers["Date"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return timedelta(0)
    return ahead if CLOCKS_AGREE < abs(ahead) <= LONGEST_PERIOD else timedelta(0)


def _is_of_type(answer: Answer, media_type: str) -> bool:
    found: str = answer.headers.get("content-type", "")
    return found.partition(";")[0].strip().lower() == media_type
