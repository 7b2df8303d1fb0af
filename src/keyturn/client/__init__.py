"""Keyturn for agents: a credentials file, and what keeps it good.

Agent("agent.json").register("https://keys.example.com", name="my-research-agent")
httpx.Client(base_url="https://api.example.com", auth=KeyturnAuth("agent.json"))
"""

from keyturn.client.auth import KeyturnAuth
from keyturn.client.client import Agent, AsyncAgent
from keyturn.client.errors import (
    AlreadyRegistered,
    ClientError,
    CredentialsFileError,
    CredentialsRefused,
    InvalidInput,
    Limited,
    NeedsDeveloper,
    NoCredentialsFile,
    NotKeyturn,
    TryAgain,
)
from keyturn.client.operations import Status
from keyturn.client.protocol import ServerView

__all__ = [
    "Agent",
    "AlreadyRegistered",
    "AsyncAgent",
    "ClientError",
    "CredentialsFileError",
    "CredentialsRefused",
    "InvalidInput",
    "KeyturnAuth",
    "Limited",
    "NeedsDeveloper",
    "NoCredentialsFile",
    "NotKeyturn",
    "ServerView",
    "Status",
    "TryAgain",
]
