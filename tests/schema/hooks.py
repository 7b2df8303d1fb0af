"""What schemathesis can't read in the OpenAPI document; its command line loads this.

How to get in: an agent for each case of an agent's own routes, an operator for the rest. And the
few refusals of well-formed requests that the contract asks for and no schema can express.
"""

import json
import os
import subprocess
import sys
import uuid
from typing import Any

import httpx
import schemathesis
from schemathesis import AuthContext, HookContext, Response
from schemathesis import Case as AnyCase
from schemathesis.core.failures import Failure

Case = AnyCase[Any]

URL = os.environ["KEYTURN_FUZZED_URL"]
LARGEST_BODY = 8192
DECLARED = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
PROVING = ("/v1/agents/self/rotate-key", "/v1/agents/self/revoke")


@schemathesis.auth(refresh_interval=None).apply_to(path_regex="^/v1/agents/self")
class AgentAuth:
    """A new agent for each case: many cases end one."""

    def get(self, _case: Case, _context: AuthContext) -> dict[str, str]:
        made = httpx.post(f"{URL}/v1/auth/agent-register", json={"name": "fuzzed"})
        agent: dict[str, str] = made.raise_for_status().json()
        return agent

    def set(self, case: Case, data: dict[str, str], _context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data['apiKey']}"
        well_formed = case.meta is not None and case.meta.generation.mode.is_positive
        if well_formed and case.operation.path in PROVING and isinstance(case.body, dict):
            # The one secret that is right can't be found by chance.
            case.body["rotationSecret"] = data["rotationSecret"]


@schemathesis.auth().apply_to(path_regex="^/v1/forward-auth")
class VisitorAuth:
    """An agent as a visitor of somebody's API."""

    def get(self, _case: Case, _context: AuthContext) -> str:
        made = httpx.post(f"{URL}/v1/auth/agent-register", json={"name": "visitor"})
        return str(made.raise_for_status().json()["apiKey"])

    def set(self, case: Case, data: str, _context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.auth().apply_to(path_regex="^/v1/(keys|introspect)")
class ServiceAuth:
    """A service that checks keys."""

    def get(self, _case: Case, _context: AuthContext) -> str:
        return _made("service", "create", "--name", "fuzzer")

    def set(self, case: Case, data: str, _context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


NOT_A_DEVELOPERS = "^/v1/(agents/self|auth|forward-auth|keys|introspect)"


@schemathesis.auth().apply_to(path_regex="^/v1/").skip_for(path_regex=NOT_A_DEVELOPERS)
class OperatorAuth:
    """An operator, until a 401 shows that a case has disabled it: then another one."""

    def get(self, _case: Case, _context: AuthContext) -> str:
        email = f"{uuid.uuid4()}@example.com"
        return _made("developer", "create", "--email", email, "--operator")

    def set(self, case: Case, data: str, _context: AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {data}"


def _made(*command: str) -> str:
    made = subprocess.run(
        [sys.executable, "-m", "keyturn", *command, "--json"], check=True, capture_output=True
    )
    return str(json.loads(made.stdout)["token"])


@schemathesis.hook
def filter_failure(
    _context: HookContext, _failure: Failure, case: Case, response: Response
) -> bool:
    """Whether a failure counts: all do but those that the contract forces."""
    if case.operation.path.startswith("/v1/forward-auth") and case.method.upper() not in DECLARED:
        # It takes any method, and OpenAPI has no name for any.
        return response.status_code not in (200, 401)
    if response.status_code == 413:
        # A body that is well-formed and larger than 8 KiB.
        sent = response.request.body
        return not isinstance(sent, bytes | str) or len(sent) <= LARGEST_BODY
    if response.status_code == 400:
        # A cursor is opaque: what is not a `nextCursor` of the list is malformed, and no schema
        # can tell which texts are.
        # Nor can one say "in the future".
        detail = str(response.json()["detail"])
        return not detail.startswith(("cursor: ", "expiresAt: must be in the future"))
    return True
