"""Every route of the contract that exists by now, with its methods.

Forward authentication, which takes all, stands by itself.
"""

from .client import ABSENT_ID

ROUTES: dict[str, set[str]] = {
    "/v1/agents/self/rotate-key": {"POST"},
    "/v1/auth/agent-register": {"POST"},
    "/v1/agents/self": {"GET"},
    "/v1/agents/self/revoke": {"POST"},
    "/v1/agents": {"GET", "POST"},
    "/v1/agents/{id}": {"GET", "PATCH", "DELETE"},
    "/v1/agents/{id}/rotate-key": {"POST"},
    "/v1/agents/{id}/rotation-secret": {"POST", "DELETE"},
    "/v1/agents/{id}/revoke": {"POST"},
    "/v1/agents/{id}/reinstate": {"POST"},
    "/v1/agents/{id}/credits": {"POST"},
    "/v1/keys/verify": {"POST"},
    "/v1/keys/verify-batch": {"POST"},
    "/v1/introspect": {"POST"},
    "/v1/audit": {"GET"},
    "/v1/audit/export": {"GET"},
    "/v1/enrolment-tokens": {"GET", "POST"},
    "/v1/enrolment-tokens/{id}": {"DELETE"},
    "/v1/service-tokens": {"GET", "POST"},
    "/v1/service-tokens/{id}": {"DELETE"},
    "/v1/developer-tokens": {"GET", "POST"},
    "/v1/developer-tokens/{id}": {"DELETE"},
    "/v1/developers": {"GET", "POST"},
    "/v1/developers/{id}/disable": {"POST"},
    "/openapi.json": {"GET"},
    "/healthz": {"GET"},
    "/readyz": {"GET"},
    "/metrics": {"GET"},
    "/docs": {"GET"},
}
# Forward authentication takes every method; a description can name these.
ANY = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
FORWARD_AUTH = dict.fromkeys(("/v1/forward-auth", "/v1/forward-auth/{path}"), ANY)
AGENTS_OWN = {"/v1/agents/self", "/v1/agents/self/rotate-key", "/v1/agents/self/revoke"}
SERVICES = {"/v1/keys/verify", "/v1/keys/verify-batch", "/v1/introspect"}
OPEN = {path for path in ROUTES if not path.startswith("/v1/")} | {"/v1/auth/agent-register"}
CALLS = [(method, path) for path, methods in ROUTES.items() for method in sorted(methods)]
DEVELOPER_CALLS = [call for call in CALLS if call[1] not in AGENTS_OWN | SERVICES | OPEN]
AGENT_CALLS = [call for call in DEVELOPER_CALLS if call[1].startswith("/v1/agents/{id}")]


def filled(path: str, id: str = ABSENT_ID) -> str:
    """The route's path with an id in it."""
    return path.replace("{id}", id)
