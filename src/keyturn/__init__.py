"""Keyturn: API keys for AI agents that rotate themselves."""

__version__ = "0.1.0"
