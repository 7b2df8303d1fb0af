"""The compose file, as Compose itself understands it, held against what its page promises."""

import json
import os
import shutil
import stat
import subprocess
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from keyturn.core.keyed_hash import parse_server_keys
from keyturn.settings import Settings
from tests.docs.pages import blocks

from .proxies import EXAMPLES, WHERE, installed_beside_python, program

REPLICAS = ("keyturn-a", "keyturn-b")
SECRETS = ("database-password", "keyturn.env", ".env")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, with its secrets made as the page says."""
    copy = tmp_path_factory.mktemp("compose")
    shutil.copytree(EXAMPLES / "compose", copy, dirs_exist_ok=True)
    [commands] = blocks("docs/containers.md", "secrets")
    subprocess.run(["sh", "-e", "-c", commands], cwd=copy, check=True, capture_output=True)
    return copy


def compose(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [installed_beside_python("docker-compose"), "config", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def resolved(folder: Path) -> dict[str, Any]:
    """What Compose makes of the file; without the values of `keyturn.env`."""
    done = compose(folder, "--format", "json", "--no-env-resolution")
    assert done.returncode == 0, "Compose refuses the file"
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def services(resolved: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = resolved["services"]
    assert found.keys() == {*REPLICAS, "database", "caddy"}
    return found


def test_compose_takes_the_file_with_nothing_to_complain_about(folder: Path) -> None:
    done = compose(folder, "--quiet")
    assert (done.returncode, done.stderr) == (0, "")


def test_compose_says_what_is_missing_where_nobody_has_named_the_site(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / ".env").unlink()
    done = compose(tmp_path, "--quiet")
    assert done.returncode != 0 and "the name of the site" in done.stderr


def test_both_replicas_are_the_same(services: dict[str, dict[str, Any]]) -> None:
    first, second = (services[name] for name in REPLICAS)
    assert first == second


def test_only_caddy_can_be_reached_from_outside(services: dict[str, dict[str, Any]]) -> None:
    published = {
        name: sorted({port["published"] for port in it.get("ports", [])})
        for name, it in services.items()
    }
    assert published == {"caddy": ["443", "80"], "database": [], "keyturn-a": [], "keyturn-b": []}
    assert all("network_mode" not in it for it in services.values())


def test_caddy_and_the_database_share_no_network(
    resolved: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    assert set(services["caddy"]["networks"]) == {"front"}
    assert set(services["database"]["networks"]) == {"back"}
    assert resolved["networks"]["back"]["internal"] is True


@pytest.mark.parametrize("name", [*REPLICAS, "database", "caddy"])
def test_what_is_broken_into_stays_small(services: dict[str, dict[str, Any]], name: str) -> None:
    service = services[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    wider = {"privileged", "devices", "pid", "ipc", "userns_mode", "volumes_from", "user"}
    assert wider.isdisjoint(service)
    binds = [it for it in service.get("volumes", []) if it["type"] == "bind"]
    assert all(it["read_only"] and it["source"].endswith("/Caddyfile") for it in binds)


def test_keyturn_has_no_capability_and_nothing_that_is_kept(
    services: dict[str, dict[str, Any]],
) -> None:
    for name in REPLICAS:
        assert "cap_add" not in services[name] and "volumes" not in services[name]
        assert services[name]["tmpfs"] == ["/tmp", "/var/lib/keyturn:uid=10001,gid=10001,mode=0700"]


def test_nothing_secret_is_in_the_file(folder: Path, resolved: dict[str, Any]) -> None:
    environments = [it["environment"] for it in resolved["services"].values()]
    names = {name for environment in environments for name in environment}
    assert {name for name in names if "PASSWORD" in name or "KEY" in name.split("_")} == {
        "POSTGRES_PASSWORD_FILE"
    }
    password = (folder / "database-password").read_text().strip()
    shown = password in json.dumps(resolved)
    assert not shown
    assert urlsplit(environments[-1]["KEYTURN_DATABASE"]).password is None


def test_the_replicas_get_the_same_secrets_from_the_same_file(
    services: dict[str, dict[str, Any]], folder: Path
) -> None:
    [first], [second] = (services[name]["env_file"] for name in REPLICAS)
    assert first == second and Path(first["path"]) == folder / "keyturn.env"


def test_the_secrets_that_the_page_makes_are_good_and_nobody_elses(folder: Path) -> None:
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in SECRETS} == {0o600}
    lines = (folder / "keyturn.env").read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines)
    assert values.keys() == {"KEYTURN_SERVER_KEY", "PGPASSWORD"}
    usable = len(parse_server_keys(values["KEYTURN_SERVER_KEY"])) == 1
    same = values["PGPASSWORD"] == (folder / "database-password").read_text().strip()
    assert usable and same


def test_git_never_sees_the_secrets() -> None:
    paths = [f"examples/compose/{name}" for name in SECRETS]
    command = ["git", "check-ignore", *paths]
    done = subprocess.run(command, cwd=EXAMPLES.parent, capture_output=True, text=True, check=False)
    assert done.stdout.split() == paths


def test_keyturn_believes_caddys_address_and_no_other(
    resolved: dict[str, Any], services: dict[str, dict[str, Any]]
) -> None:
    caddy = ip_address(services["caddy"]["networks"]["front"]["ipv4_address"])
    [trusted] = {services[name]["environment"]["KEYTURN_TRUSTED_PROXIES"] for name in REPLICAS}
    assert ip_network(trusted) == ip_network(caddy)
    [pool] = resolved["networks"]["front"]["ipam"]["config"]
    assert caddy in ip_network(pool["subnet"]) and caddy not in ip_network(pool["ip_range"])


def test_keyturn_takes_its_settings(
    services: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = services[REPLICAS[0]]["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    known = {f"KEYTURN_{name.upper()}" for name in Settings.model_fields}
    assert environment.keys() <= known
    assert settings.postgres_url is not None
    assert settings.public_url == "https://keys.example.com"


def test_the_database_in_the_url_is_the_one_that_is_made(
    services: dict[str, dict[str, Any]],
) -> None:
    url = urlsplit(services[REPLICAS[0]]["environment"]["KEYTURN_DATABASE"])
    made = services["database"]["environment"]
    assert (url.hostname, url.username, url.path) == (
        "database", made["POSTGRES_USER"], f"/{made['POSTGRES_DB']}"
    )  # fmt: skip
    assert services[REPLICAS[0]]["depends_on"]["database"]["condition"] == "service_healthy"


def test_caddy_takes_its_file_and_serves_the_site_with_tls(tmp_path: Path) -> None:
    file = EXAMPLES / "compose" / "Caddyfile"
    environment = {"SITE": "keys.example.com", "HOME": str(tmp_path), "PATH": WHERE}

    def run(command: str) -> str:
        arguments = [program("caddy"), command, "--adapter", "caddyfile", "--config", str(file)]
        return subprocess.run(
            arguments, env=environment, check=True, capture_output=True, text=True
        ).stdout

    run("validate")
    [server] = json.loads(run("adapt"))["apps"]["http"]["servers"].values()
    assert server["listen"] == [":443"] and "automatic_https" not in server
