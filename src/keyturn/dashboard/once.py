"""A form that adds something acts once, however often it is sent."""

import re

from keyturn.actions.take_attempt import take_attempt
from keyturn.core.errors import InvalidRequest
from keyturn.core.rate_limit import Limit
from keyturn.dashboard.visits import Visit
from keyturn.problems import SentAlready

FORM_LIMIT = Limit("form", 1, 86_400)
"""Of the id that each page gives its form."""


async def once(on: Visit) -> None:
    """Let the form that was sent act; from now on it does nothing.

    Raises:
        SentAlready
        InvalidRequest: it is no form of ours.
        Unavailable
    """
    form_id = on.form.text("form")
    if not re.fullmatch("[0-9a-f]{32}", form_id):
        raise InvalidRequest("form", "can't be read")
    verdict = await take_attempt(on.service, FORM_LIMIT, f"{on.session.id} {form_id}")
    if not verdict.allowed:
        raise SentAlready
