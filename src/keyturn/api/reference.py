"""The OpenAPI document of the live routes, and the page that shows it to people."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from fastapi.openapi.utils import get_openapi
from jinja2 import Environment, PackageLoader, select_autoescape
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from keyturn import __version__
from keyturn.api.context import SECURITY_SCHEMES
from keyturn.api.self_service import REFERENCED_MODELS
from keyturn.problems import PROBLEM_SCHEMA

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_templates = Environment(loader=PackageLoader("keyturn.api"), autoescape=select_autoescape())
_FRAMEWORKS_ERRORS = ("HTTPValidationError", "ValidationError")


def page(template: str, **values: Any) -> str:
    """A page of ours, everything escaped."""
    return _templates.get_template(template).render(**values)


class Reference:
    """The description of these routes, made when somebody asks: it would be most of a start."""

    def __init__(self, routes: Sequence[BaseRoute], public_url: str) -> None:
        self._routes = routes
        self._public_url = public_url

    @cached_property
    def document(self) -> dict[str, Any]:
        """The OpenAPI 3.1 document."""
        return _describe(self._routes, self._public_url)

    @cached_property
    def page(self) -> str:
        """The document as a page for people, without scripts or outside addresses."""
        return _reference_page(self.document)


def _describe(routes: Sequence[BaseRoute], public_url: str) -> dict[str, Any]:
    document = get_openapi(
        title="Keyturn",
        version=__version__,
        description="API keys for AI agents that rotate themselves.",
        routes=routes,
        servers=[{"url": public_url}],
    )
    for path in document["paths"].values():
        for operation in path.values():
            # The framework's own answer to malformed input, which we never send.
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
            for parameter in operation.get("parameters", []):
                parameter["schema"] = _never_null(parameter["schema"])
            for content in operation.get("requestBody", {}).get("content", {}).values():
                content["schema"] = _never_null(content["schema"])
    schemas = document["components"]["schemas"]
    for name in _FRAMEWORKS_ERRORS:
        schemas.pop(name, None)
    _, referenced = models_json_schema(
        [(model, "validation") for model in REFERENCED_MODELS],
        ref_template="#/components/schemas/{model}",
    )
    schemas |= {"Problem": PROBLEM_SCHEMA, **referenced["$defs"]}
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    return document


def _reference_page(document: dict[str, Any]) -> str:
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            shown = _operation(document, method, path, operation)
            groups[operation.get("tags", ["Service"])[0]].append(shown)
    return page("reference.html", title="API reference", document=document, groups=groups)


def _operation(
    document: dict[str, Any], method: str, path: str, operation: dict[str, Any]
) -> dict[str, Any]:
    schemes = [name for choice in operation.get("security", []) for name in choice]
    return {
        "method": method.upper(),
        "path": path,
        "summary": operation["summary"],
        "description": operation.get("description", ""),
        "credential": SECURITY_SCHEMES[schemes[0]]["bearerFormat"] if schemes else None,
        "parameters": operation.get("parameters", []),
        "body": _members(document, operation.get("requestBody")),
        "answers": {
            status: {
                "codes": _codes(answer),
                "members": list(_members(document, answer)) if status.startswith("2") else [],
            }
            for status, answer in sorted(operation["responses"].items())
        },
    }


def _members(document: dict[str, Any], described: dict[str, Any] | None) -> dict[str, Any]:
    """The members of a JSON body with their types, or nothing."""
    content = (described or {}).get("content", {}).get("application/json", {})
    schema = _resolve(document, content.get("schema", {}))
    return {
        name: {"type": _type(member), "description": member.get("description", "")}
        for name, member in schema.get("properties", {}).items()
    }


def _never_null(schema: dict[str, Any]) -> dict[str, Any]:
    """What may be left out is not what may be null."""
    choices = [choice for choice in schema.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**rest, **choices[0]}


def _resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rsplit("/")[-1]]
        return found
    return schema


def _type(member: dict[str, Any]) -> str:
    choices = member.get("anyOf", [member])
    return " or ".join(str(choice.get("type", choice.get("const", "object"))) for choice in choices)


def _codes(answer: dict[str, Any]) -> list[str]:
    problem = answer.get("content", {}).get("application/problem+json", {})
    return list(problem.get("examples", {}))
