"""What client and server both must spell alike: paths, headers, sentences."""

ROTATE_SELF = "/v1/agents/self/rotate-key"
REGISTER = "/v1/auth/agent-register"
SELF = "/v1/agents/self"
REVOKE_SELF = "/v1/agents/self/revoke"

FORWARD_AUTH = "/v1/forward-auth"
VERIFY = "/v1/keys/verify"
VERIFY_BATCH = "/v1/keys/verify-batch"
INTROSPECT = "/v1/introspect"

IDEMPOTENCY_KEY = "Idempotency-Key"
IDEMPOTENCY_REPLAYED = "Idempotency-Replayed"

ROTATED = (
    "API key and rotation secret rotated successfully. Save both — they will not be shown again."
)
