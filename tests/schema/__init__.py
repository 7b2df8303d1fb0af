"""schemathesis against the live OpenAPI document of a real server."""
