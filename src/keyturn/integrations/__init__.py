"""Protect an existing API: every request has an agent's API key, or is refused.

A verifier tells whose key it is: `RemoteVerifier` asks a Keyturn server, and `EmbeddedVerifier`
(in `keyturn.integrations.embedded`) opens the installation itself. The modules `starlette`,
`fastapi`, `django` and `flask` put a verifier in front of an application; each needs its framework.
"""

from keyturn.integrations.blocking import BlockingVerifier
from keyturn.integrations.identity import AgentIdentity, Refusal
from keyturn.integrations.remote import RemoteVerifier
from keyturn.integrations.verifier import Verifier

__all__ = ["AgentIdentity", "BlockingVerifier", "Refusal", "RemoteVerifier", "Verifier"]
