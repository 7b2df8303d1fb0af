"""How entries of the trail leave: as the members of an answer, as lines of JSON, and as CSV."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal, get_args

from fastapi.responses import StreamingResponse

from keyturn.core.audit_trail import Entry
from keyturn.core.instant import rfc3339

Format = Literal["jsonl", "csv"]
FORMATS = get_args(Format)
Pages = AsyncIterator[list[Entry]]

COLUMNS = (
    "id",
    "at",
    "actorKind",
    "actorId",
    "action",
    "outcome",
    "agentId",
    "developerId",
    "address",
    "userAgent",
    "requestId",
    "details",
)
# Spreadsheets read a cell that begins so as a formula (OWASP, CSV injection).
# Some split at ; and tabs as well, so what follows those begins a cell too.
_FORMULA = re.compile("(^|[;\t\r\n])( *)(?=[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")


def members(entry: Entry) -> dict[str, Any]:
    """The entry as answers and exports show it."""
    return {
        "id": entry.id,
        "at": rfc3339(entry.at),
        "actor": {"kind": entry.actor_kind, "id": entry.actor_id},
        "action": entry.action,
        "outcome": entry.outcome,
        "agentId": entry.agent_id,
        "developerId": entry.developer_id,
        "address": entry.address,
        "userAgent": entry.user_agent,
        "requestId": entry.request_id,
        "details": entry.details,
    }


def exported(pages: Pages, form: Format) -> StreamingResponse:
    """All of it as one stream: JSON Lines, or CSV that spreadsheets open without running it."""
    written, media_type = _WRITERS[form]
    return StreamingResponse(
        written(pages),
        media_type=media_type,
        headers={"Content-Disposition": f'attachment; filename="audit.{form}"'},
    )


async def _json_lines(pages: Pages) -> AsyncIterator[str]:
    async for entries in pages:
        # Escaped as far as JSON can, because some programs end a line at more than \n.
        lines = [json.dumps(members(entry), separators=(",", ":")) for entry in entries]
        yield "\n".join(lines) + "\n"


async def _csv(pages: Pages) -> AsyncIterator[str]:
    yield ",".join(COLUMNS) + "\r\n"
    async for entries in pages:
        text = io.StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows(_cells(entry) for entry in entries)
        yield text.getvalue()


def _cells(entry: Entry) -> list[str]:
    shown = members(entry)
    shown |= {"actorKind": entry.actor_kind, "actorId": entry.actor_id}
    shown["details"] = json.dumps(entry.details, separators=(",", ":"), ensure_ascii=False)
    return [_inert(shown[column] or "") for column in COLUMNS]


def _inert(cell: str) -> str:
    return _FORMULA.sub(r"\1'\2", cell)


_WRITERS: dict[Format, tuple[Callable[[Pages], AsyncIterator[str]], str]] = {
    "jsonl": (_json_lines, "application/jsonl"),
    "csv": (_csv, "text/csv"),
}
MEDIA_TYPES = tuple(media_type for _, media_type in _WRITERS.values())
