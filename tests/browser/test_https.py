"""The dashboard behind a proxy with TLS, and where there is none beyond the machine itself."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, expect

from keyturn.testing import Server, running_server
from tests.browser.conftest import running_chromium
from tests.browser.people import OPERATOR, set_up, sign_in
from tests.certificates import Authority, Issued
from tests.deployment.proxies import free_port, run_caddy, running

HOST = "keyturn.example"
CADDYFILE = """
{{
    admin off
    auto_https off
}}
https://{host}:{port} {{
    bind 127.0.0.1
    tls certificate.pem key.pem
    reverse_proxy 127.0.0.1:{server}
}}
"""


@pytest.fixture(scope="module")
def certificate() -> Issued:
    return Authority().issue(HOST)


@pytest.fixture(scope="module")
def chromium(certificate: Issued) -> Iterator[Browser]:
    """It finds the host on this machine, and trusts its certificate."""
    public_key = x509.load_pem_x509_certificate(certificate.certificate).public_key()
    encoded = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(encoded).digest()).decode()
    with running_chromium(
        f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
        f"--ignore-certificate-errors-spki-list={pin}",
    ) as browser:
        yield browser


def test_over_https_every_cookie_is_of_this_host_alone(
    chromium: Browser, certificate: Issued, tmp_path: Path
) -> None:
    port = free_port()
    url = f"https://{HOST}:{port}"
    certificate.write(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with running_server(public_url=url, trusted_proxies="127.0.0.1/32") as server:
        caddyfile = CADDYFILE.format(host=HOST, port=port, server=server.port)
        (tmp_path / "Caddyfile").write_text(caddyfile)
        with running(run_caddy(), tmp_path, port):
            _live_through(chromium, server, url)


def _live_through(chromium: Browser, server: Server, url: str) -> None:
    context = chromium.new_context(base_url=url)
    page = context.new_page()
    set_up(page, server)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You have signed out.")).to_be_visible()
    sign_in(page, OPERATOR)
    page.goto("/dashboard/agents/new")
    page.get_by_label("Name").fill("courier")
    page.get_by_role("button", name="Make").click()
    expect(page.get_by_text("This is the only time")).to_be_visible()

    cookies = context.cookies()
    assert {cookie["name"] for cookie in cookies} >= {
        "__Host-keyturn-session",
        "__Host-keyturn-device",
    }
    for cookie in cookies:
        assert cookie["name"].startswith("__Host-")
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Lax")
        assert (cookie["domain"], cookie["path"]) == (HOST, "/")

    expect(page.get_by_text("This connection is not encrypted.")).to_have_count(0)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You have signed out.")).to_be_visible()
    assert "__Host-keyturn-session" not in {cookie["name"] for cookie in context.cookies()}
    context.close()


def test_over_plain_http_beyond_the_machine_each_page_says_that_it_can_be_read(
    chromium: Browser,
) -> None:
    with running_server() as server:
        url = f"http://{HOST}:{server.port}"
        server.settings["public_url"] = url
        server.restart()
        context = chromium.new_context(base_url=url)
        page = context.new_page()
        page.goto("/setup")
        warning = page.get_by_role("note").get_by_text("This connection is not encrypted.")
        expect(warning).to_be_visible()
        set_up(page, server)
        for path in ("/dashboard", "/dashboard/agents", "/dashboard/account"):
            page.goto(path)
            expect(warning).to_be_visible()
        names = {cookie["name"] for cookie in context.cookies()}
        assert names == {"keyturn-session", "keyturn-device"}
        context.close()
