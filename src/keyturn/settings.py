"""Every setting: its name, meaning, default and check. Flags and variables are made from here."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from keyturn.core.client_address import IPNetwork, parse_network
from keyturn.core.credential import MAX_PREFIX, PREFIX
from keyturn.core.rotation import bearer_token

DATABASE = "keyturn.db"
POSTGRES = "postgresql://"
MIN_TOKEN = 16
MAX_QUOTA = 1_000_000_000
ENVIRONMENT_ONLY = frozenset({"server_key", "metrics_token"})
"""Secrets: a flag would show them to every user of the machine."""


class Settings(BaseSettings):
    """The settings of an installation, from `KEYTURN_*` variables and the flags of the same name.

    Raises:
        pydantic.ValidationError: a value is not what the setting takes.
    """

    model_config = SettingsConfigDict(
        env_prefix="KEYTURN_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8787, ge=0, le=65535, description="Port to listen on.")
    workers: int = Field(1, ge=1, le=64, description="Processes that share the work.")
    data_dir: Path = Field(Path("keyturn-data"), description="Where everything is kept.")
    database: str = Field(
        "",
        description="sqlite:///PATH or postgresql://…; by default keyturn.db in the data dir.",
        repr=False,  # It may have a password in it.
    )
    fence: Path | None = Field(
        None, description="File, outside the data dir, that refuses an older state of the database."
    )
    public_url: str = Field(
        "http://localhost:8787", description="How people reach the service: for links."
    )
    prefix: str = Field(
        "sk_live", max_length=MAX_PREFIX, description="What every credential begins with."
    )
    server_key: SecretStr | None = Field(
        None, description="id:base64url[,…], the first is current; by default a file."
    )
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token that opens /metrics to other machines."
    )
    trusted_proxies: Annotated[tuple[IPNetwork, ...], NoDecode] = Field(
        (), description="Networks (CIDR, commas) whose X-Forwarded-For is believed."
    )
    registration: Literal["open", "enrolment", "closed"] = Field(
        "open", description="Who may register agents."
    )
    rotation_limit: int = Field(
        3, ge=1, le=MAX_QUOTA, description="Rotation attempts an address has in a window."
    )
    rotation_window: int = Field(900, ge=1, le=86400, description="That window, in seconds.")
    registration_limit: int = Field(
        200, ge=1, le=MAX_QUOTA, description="Registrations of an address an hour."
    )
    registration_total: int = Field(
        10_000, ge=1, le=MAX_QUOTA, description="Registrations of all an hour."
    )
    audit_retention_days: int = Field(
        0, ge=0, le=36500, description="Days that the trail is kept; 0 is for ever."
    )
    retired_retention_days: int = Field(
        365, ge=1, le=36500, description="Days that a retired credential is known again."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe messages that are logged."
    )

    @field_validator("prefix")
    @classmethod
    def _check_prefix(cls, prefix: str) -> str:
        if not PREFIX.fullmatch(prefix):
            raise ValueError("must be lower-case words joined by _, such as acme_test")
        return prefix

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _parse_networks(cls, networks: object) -> object:
        if not isinstance(networks, str):
            return networks
        return tuple(parse_network(part.strip()) for part in networks.split(",") if part.strip())

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return url.rstrip("/")

    @field_validator("database")
    @classmethod
    def _check_database(cls, url: str) -> str:
        path = url.removeprefix("sqlite:///")
        if not url or url.startswith(POSTGRES):
            return url
        if path == url or not path or path == ":memory:":
            raise ValueError("must be sqlite:///PATH, a file, or postgresql://…")
        return url

    @field_validator("fence")
    @classmethod
    def _check_fence(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        folder = info.data.get("data_dir")
        if path and folder and path.resolve().is_relative_to(folder.resolve()):
            raise ValueError("must be outside the data dir: what brings that back brings it back")
        return path

    @field_validator("metrics_token")
    @classmethod
    def _check_metrics_token(cls, token: SecretStr | None) -> SecretStr | None:
        text = token.get_secret_value() if token else None
        if text is not None and (len(text) < MIN_TOKEN or not bearer_token(f"Bearer {text}")):
            raise ValueError(f"must be {MIN_TOKEN} or more of A-Z a-z 0-9 - . _ ~ + /")
        return token

    @property
    def postgres_url(self) -> str | None:
        """Where the databases are, unless they are files."""
        return self.database if self.database.startswith(POSTGRES) else None

    @property
    def database_path(self) -> Path:
        """The file of the credentials and the trail, where it is one."""
        path = self.database.removeprefix("sqlite:///")
        return Path(path) if path else self.data_dir / DATABASE

    @property
    def limits_path(self) -> Path:
        """The file of the attempts and the refusals on their way to the trail.

        It belongs to one database, and another one may be in the same directory.
        """
        path = self.database_path
        own = "limits.db" if path.name == DATABASE else f"{path.stem}-limits{path.suffix}"
        return path.with_name(own)

    @property
    def server_key_path(self) -> Path:
        """The file of the server keys, where they are not in the environment."""
        return self.data_dir / "server-key"
