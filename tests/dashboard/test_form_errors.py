"""A form that is refused says so beside the field that it is about, and keeps what was typed."""

import re
from html.parser import HTMLParser

import httpx
import pytest

from keyturn.actions.invite_developer import invite, invite_locally
from keyturn.actions.manage_tokens import NewToken, create_token
from keyturn.actions.set_up import setup_code
from keyturn.core.credential import Kind
from keyturn.core.session import RECENT
from tests.actions.world import World, call
from tests.dashboard.visiting import PASSWORD, Browser, Person
from tests.storage.batches import do

NAME = "Name must have 1 to 100 characters"
REASON = "Reason must have at most 500 characters"
SHORT = "must have 12 to 256 characters"
SETTINGS = {"name": "a", "rotation_period_days": "7", "on_reuse": "alert", "metadata": "{}"}


class Page(HTMLParser):
    """What a page says of what was sent."""

    def __init__(self, answer: httpx.Response) -> None:
        super().__init__()
        self.title = self.alert = ""
        self.leads_to, self.focused = "", list[str]()
        self.by_id: dict[str, dict[str, str | None]] = {}
        self.text_of: dict[str, str] = {}
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if "autofocus" in found:
            self.focused.append(found.get("id") or found.get("role") or "")
        if identifier := found.get("id"):
            assert identifier not in self.by_id, f"two have the id {identifier}"
            self.by_id[identifier] = found
        if tag == "a" and any(outer.get("role") == "alert" for _, outer in self._open):
            self.leads_to = (found["href"] or "").removeprefix("#")
        if tag not in ("input", "meta", "link", "br"):
            self._open.append((tag, found))

    def handle_endtag(self, tag: str) -> None:
        if tag in (name for name, _ in self._open):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        for tag, found in self._open:
            self.title += data if tag == "title" else ""
            self.alert += data if found.get("role") == "alert" else ""
            if identifier := found.get("id"):
                self.text_of[identifier] = self.text_of.get(identifier, "") + data


def says(answer: httpx.Response, told: str, field: str) -> None:
    """The page says this, once above all and once beside its field, which has the focus."""
    page = Page(answer)
    assert page.title.startswith("Error: ") and told in page.alert, (told, page.alert)
    assert (page.leads_to, page.focused) == (field, [field or "alert"]), told
    marked = [name for name, found in page.by_id.items() if found.get("aria-invalid") == "true"]
    assert marked == ([field] if field else []), told
    if field:
        described = (page.by_id[field]["aria-describedby"] or "").split()
        assert all(name in page.text_of for name in described)
        assert told in page.text_of[described[0]]


@pytest.fixture
def there(world: World, ada: Person) -> dict[str, str]:
    """What the paths of the forms name."""
    eve = do(invite(world.service, call(), ada.principal, "eve@example.com", operator=False))
    new = NewToken(Kind.SERVICE_TOKEN, "old", ada.principal.developer_id)
    token, _ = do(create_token(world.service, call(), ada.principal, new))
    agent = world.register().agent_id
    return {"agent": agent, "token": token.id, "developer": eve.developer.id}


REFUSED = [
    ("account/password", {"new": "another sentence"}, "Wrong password", "password"),
    ("account/password", {"password": PASSWORD, "new": "b"}, f"New password {SHORT}", "new"),
    ("agents/new", {"name": "a" * 101}, NAME, "name"),
    ("agents/{agent}/settings", {**SETTINGS, "name": ""}, NAME, "name"),
    ("agents/{agent}/settings", {**SETTINGS, "metadata": "["}, "JSON object", "metadata"),
    (
        "agents/{agent}/settings",
        {**SETTINGS, "rotation_period_days": "x"},
        "Days must be a whole number from 1 to 365",
        "rotation_period_days",
    ),
    ("agents/{agent}/settings", {**SETTINGS, "on_reuse": "x"}, "must be alert", "on_reuse"),
    ("agents/{agent}/credits", {"amount": "1e3"}, "Amount must be a whole number", "amount"),
    ("agents/{agent}/credits", {"amount": "-101"}, "would fall below 0", "amount"),
    ("agents/{agent}/credits", {"amount": "1", "reason": "a" * 501}, REASON, "reason"),
    ("agents/{agent}/credits", {"amount": "1", "form": "x"}, "This form can't be read", ""),
    ("agents/{agent}/change/rotate", {"generation": "2"}, "have changed since", ""),
    ("agents/{agent}/change/revoke", {"reason": "a" * 501}, REASON, "reason"),
    ("agents/{agent}/change/reinstate", {}, "Agent is not revoked", ""),
    ("agents/revoke?status=active", {}, "Choose at least one agent", "agent"),
    (
        "agents/revoke",
        {"agent": "", "sure": "yes", "reason": "a" * 501},
        REASON,
        "reason",
    ),
    ("developers", {"email": "nobody"}, "Email must be an email address", "email"),
    ("developers", {"email": "eve@example.com"}, "exists already", "email"),
    ("tokens", {"kind": "service", "name": ""}, NAME, "name"),
    ("tokens", {"kind": "enrolment", "name": "a", "max_uses": "0"}, "Agents must", "max_uses"),
    (
        "tokens",
        {"kind": "enrolment", "name": "a", "max_uses": "1", "days": "366"},
        "Days must be a whole number from 1 to 365",
        "days",
    ),
]


def test_what_is_wrong_stands_beside_its_field_and_above_all(
    browser: Browser, there: dict[str, str]
) -> None:
    for number, (path, sent, told, field) in enumerate(REFUSED):
        fields = {"form": f"{number:032x}", "generation": "1", **sent}
        if "agent" in sent:
            fields["agent"] = there["agent"]
        answer = browser.post("/dashboard/" + path.format(**there), **fields)
        assert answer.status_code in (400, 403, 409), path
        says(answer, told, field)


ASK_AGAIN = [
    ("agents/new", {}),
    ("agents/{agent}/change/delete", {}),
    ("agents/revoke", {"sure": "yes"}),
    ("tokens", {"kind": "service", "name": "a"}),
    ("tokens/service/{token}/delete", {}),
    ("developers", {"email": "bob@example.com"}),
    ("developers/{developer}/code", {}),
    ("developers/{developer}/disable", {}),
]


@pytest.mark.parametrize(
    ("password", "told"), [("", "Type your password to go on"), ("no", "Wrong password")]
)
def test_a_password_that_is_asked_again_is_refused_beside_it(
    world: World, browser: Browser, there: dict[str, str], password: str, told: str
) -> None:
    world.clock.wait(RECENT)
    for path, sent in ASK_AGAIN:
        fields = {**sent, "agent": there["agent"]}
        asked = {"generation": "1", "password": password, **fields}
        answer = browser.post("/dashboard/" + path.format(**there), **asked)
        assert answer.status_code == 403, path
        says(answer, told, "password")


NOT_LOOKED_FOR = [
    ("q=" + "a" * 201, "Text must have at most 200", "q"),
    ("agent=me", "Agent must be an agent's whole id", "agent"),
    ("action=no.such", "Action must be one of the list", "action"),
    ("outcome=x", "Outcome must be one of the list", "outcome"),
    ("by=x", "By must be one of the list", "by"),
    ("since=yesterday", "From must be a day", "since"),
    ("since=2026-02-01&until=2026-01-31", "To must be after From", "until"),
    ("last=x", "Time must be one of the list", ""),
    ("cursor=x", "go on from the newest entries", ""),
]


def test_what_can_not_be_looked_for_is_told_beside_its_filter(browser: Browser) -> None:
    for asked, told, field in NOT_LOOKED_FOR:
        answer = browser.get(f"/dashboard/audit?{asked}")
        assert answer.status_code == 400, asked
        says(answer, told, field)


SET_UP = {"email": "ada@example.com", "password": PASSWORD}


NOT_IN_YET = [
    ("/setup", {**SET_UP, "code": "0000"}, "code is wrong, used, or has run out", "code"),
    ("/setup", {**SET_UP, "email": "ada"}, "Email must be an email address", "email"),
    ("/setup", {**SET_UP, "password": "a"}, f"Password {SHORT}", "password"),
    ("/setup", {**SET_UP, "email": "eve@example.com"}, "exists already", "email"),
    ("/dashboard/join", {"code": "x"}, "code is wrong, used, or has run out", "code"),
    ("/dashboard/join", {"password": "a"}, f"Password {SHORT}", "password"),
    ("/dashboard/sign-in", SET_UP, "Wrong email or password", "password"),
]


def test_whoever_is_not_in_yet_is_told_what_is_wrong_beside_it(world: World) -> None:
    invitation = do(invite_locally(world.service, "eve@example.com", operator=False)).code.reveal()
    code = do(setup_code(world.service)) or ""
    for path, sent, told, field in NOT_IN_YET:
        given = {"code": code if path == "/setup" else invitation, **sent}
        answer = Browser(world.service).submit(path, **given)
        assert answer.status_code in (400, 403, 409), path
        says(answer, told, field)
        kept = answer.text.partition("<main")[2]
        assert sent.get("email", "") in kept
        assert not [secret for secret in (PASSWORD, invitation, code) if secret in kept]


KEPT = [
    ("agents/new", {"name": "courier"}, ('value="courier"',)),
    ("developers", {"email": "x@example.com", "operator": "yes"}, ("x@example.com", "checked")),
    (
        "tokens",
        {"kind": "enrolment", "name": "gate", "max_uses": "7", "days": "31"},
        ('value="gate"', 'value="7"', 'value="31"'),
    ),
    (
        "agents/{agent}/change/revoke",
        {"generation": "1", "reason": "a stolen laptop"},
        ('value="a stolen laptop"',),
    ),
]


def test_what_was_typed_stays_and_the_password_does_not(
    world: World, browser: Browser, there: dict[str, str]
) -> None:
    world.clock.wait(RECENT)
    for path, sent, kept in KEPT:
        wrong = {"password": "not this one", **sent}
        answer = browser.post("/dashboard/" + path.format(**there), **wrong)
        assert [text for text in kept if text not in answer.text] == []
        assert "not this one" not in answer.text


def test_a_credential_that_was_typed_into_the_wrong_field_is_not_shown_again(
    world: World, browser: Browser
) -> None:
    key = world.register().pair.api_key.reveal()
    answer = browser.post("/dashboard/agents/new", name=f"bot {key}", form="0" * 32)
    says(answer, "Name must not contain a credential", "name")
    assert (key in answer.text, 'value="bot sk_live_ak_…' in answer.text) == (False, True)


def test_where_the_field_is_there_no_more_nothing_leads_to_it(browser: Browser) -> None:
    sent = {"code": "used long ago", "email": "ada", "password": PASSWORD}
    for path, fields in (("/setup", sent), ("/dashboard/agents/revoke?status=revoked", {})):
        page = Page(browser.post(path, **fields))
        assert page.alert
        assert (page.leads_to, page.focused) == ("", ["alert"])


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "account/sessions/{session}/end",
            "There is no such session: it may have ended already.",
        ),
        (
            "tokens/service/{token}/delete",
            "There is no such token here: it may have been deleted already.",
        ),
        ("developers/codes/{code}/withdraw", "That code was used, replaced or withdrawn already."),
    ],
)
def test_what_is_ended_twice_had_ended_already(
    world: World, browser: Browser, ada: Person, there: dict[str, str], path: str, said: str
) -> None:
    other = Browser(world.service)
    other.sign_in(ada)
    shown = browser.get("/dashboard/account").text + browser.get("/dashboard/developers").text
    ids = {
        "session": re.findall("account/sessions/([-0-9a-f]{36})/end", shown)[0],
        "code": re.findall("codes/([-0-9a-f]{36})/withdraw", shown)[0],
    }
    answers = [browser.post("/dashboard/" + path.format(**there, **ids)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [303, 303]
    assert said in browser.get(answers[1].headers["location"]).text
