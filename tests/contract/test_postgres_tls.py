"""With sslmode=verify-full no server is believed but the one that the authority names."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from keyturn.testing import Server, running_server
from tests.certificates import Authority, Issued
from tests.deployment.proxies import free_port
from tests.pgbouncer import Pooler, running_pooler
from tests.postgres import Cluster, running_cluster

from .client import assert_unavailable, eventually, forged
from .conftest import PROXIES, service_of

HOST = "db.example.com"
PASSWORD = "s3cret-of-the-database"
OURS, THEIRS = Authority(), Authority()
"""Two of one name, which only their keys tell apart."""
GENUINE = OURS.issue(HOST)
IMPOSTORS: dict[str, tuple[Issued | None, str]] = {
    "of another authority": (THEIRS.issue(HOST), "SSL error"),
    "of another host": (OURS.issue("db.example.org"), f'does not match host name "{HOST}"'),
    "ended": (OURS.issue(HOST, days=-1), "certificate verify failed"),
    "none": (None, "server does not support SSL"),
}


class Front:
    """PostgreSQL or PgBouncer on a loopback port, over TLS."""

    def __init__(self, program: Cluster | Pooler) -> None:
        self._program = program
        self._port = free_port()
        self.role = conninfo_to_dict(program.new_database())["user"]

    def url(self, authority: Path) -> str:
        user = f"{self.role}:{PASSWORD}@{HOST}:{self._port}"
        tls = f"sslmode=verify-full&sslrootcert={authority}"
        return f"postgresql://{user}/postgres?hostaddr=127.0.0.1&{tls}"

    def present(self, issued: Issued | None) -> None:
        """Start it again with this certificate, or without TLS."""
        program = self._program
        program.stop()
        certificate, key = program.folder / "server.crt", program.folder / "server.key"
        cluster = program.cluster if isinstance(program, Pooler) else program
        if issued:
            issued.write(certificate, key)
            cluster.hand_over(certificate, key)
        if isinstance(program, Pooler):
            program.settings |= {
                "listen_addr": "127.0.0.1",
                "listen_port": self._port,
                "client_tls_sslmode": "require" if issued else "disable",
                "client_tls_cert_file": certificate,
                "client_tls_key_file": key,
            }
        else:
            program.settings |= {
                "listen_addresses": "127.0.0.1",
                "port": self._port,
                "ssl": "on" if issued else "off",
                "ssl_cert_file": certificate,
                "ssl_key_file": key,
            }
        program.start()


@pytest.fixture(scope="module")
def front(request: pytest.FixtureRequest) -> Iterator[Front]:
    with contextlib.ExitStack() as running:
        if request.param == "postgres":
            yield Front(running.enter_context(running_cluster()))
        else:
            cluster = request.getfixturevalue("postgres")
            yield Front(running.enter_context(running_pooler(cluster)))


@pytest.fixture(scope="module")
def server(front: Front, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    authority = tmp_path_factory.mktemp("tls") / "ca.crt"
    authority.write_bytes(OURS.certificate)
    front.present(GENUINE)
    with running_server(database=front.url(authority), trusted_proxies=PROXIES) as started:
        yield started


@pytest.mark.parametrize(
    ("front", "impostor"),
    [*(("postgres", each) for each in IMPOSTORS), ("pgbouncer", "of another authority")],
    indirect=["front"],
    scope="module",
)
def test_an_impostor_gets_neither_a_start_nor_an_answer(
    front: Front, server: Server, impostor: str
) -> None:
    service = service_of(server)
    agent = service.register()
    issued, reason = IMPOSTORS[impostor]
    front.present(issued)
    try:
        refused = server.run("serve", "--port", str(free_port()))
        for answer in (
            service.get("/readyz"),
            service.forward(agent.key),
            service.whoami(forged("ak")),
            service.rotate(agent.key, agent.secret),
        ):
            assert_unavailable(answer)
    finally:
        front.present(GENUINE)
    assert refused.returncode == 1
    assert "The PostgreSQL database can't be used" in refused.stderr
    assert reason in refused.stderr
    assert PASSWORD not in refused.stderr + refused.stdout + server.log_path.read_text()
    eventually(lambda: service.get("/readyz").status_code == 200)
    assert service.forward(agent.key).status_code == 200
    assert service.rotate(agent.key, agent.secret).status_code == 200
