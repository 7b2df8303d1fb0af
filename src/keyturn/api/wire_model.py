"""The rules that every request and answer in JSON follows."""

import re
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel

API_KEY_EXAMPLE = "sk_live_ak_…"
SECRET_EXAMPLE = "sk_live_rs_…"


class Wire(BaseModel):
    """Members are camelCase; unknown ones are ignored; no value is converted to another type."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="ignore")


class Answer(Wire):
    """Made here, so its members go by their names in Python."""

    model_config = ConfigDict(populate_by_name=True)


def _only_rfc3339(value: object) -> object:
    if not isinstance(value, str) or not re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:", value):
        raise ValueError("must be an RFC 3339 time")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_only_rfc3339)]
"""A time in a request (RFC 3339): numbers, which the library would take as well, are refused."""


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Lets an integer be what JSON Schema calls one: 5.0 is, "5" and true are not."""
