"""Answers an agent's own rotation, as a plain function of a request.

`self_service` describes it as FastAPI wants it. The frame is around it as around every route, but
it is answered past FastAPI, which would cost as much as the rest of a rotation.
"""

from typing import Any

from keyturn.actions.rotate_credentials import Presented, rotate_own_credentials
from keyturn.actions.service import Call, Service
from keyturn.api.answers import Rotated
from keyturn.api.messages import AUTHORIZATION, Reply, Request
from keyturn.api.self_service import secret_of
from keyturn.wire import IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED

_IDEMPOTENCY_KEY = IDEMPOTENCY_KEY.lower().encode()
_REPLAYED = (IDEMPOTENCY_REPLAYED.lower().encode(), b"true")


async def rotate_self(
    service: Service, call: Call, request: Request, members: dict[str, Any] | None
) -> Reply:
    """The new pair; `members` are those of the body, None where it is not a JSON object.

    Raises:
        KeyturnError: the first row of the decision table that applies.
    """
    presented = Presented(
        request.header(AUTHORIZATION), secret_of(members), request.header(_IDEMPOTENCY_KEY)
    )
    issued = await rotate_own_credentials(service, call, presented)
    reply = Reply.json(Rotated.of(issued).model_dump_json(by_alias=True).encode())
    if issued.replayed:
        reply.headers.append(_REPLAYED)
    return reply
