"""What people look for in the trail, and which entries are that."""

from dataclasses import replace

import pytest

from keyturn.core.audit_search import ANYTHING, Sought
from keyturn.core.audit_trail import Entry

ENTRY = Entry(
    id="11111111-aaaa",
    at=1_800_000_000_000,
    actor_kind="developer",
    actor_id="22222222-bbbb",
    action="credential.reused",
    outcome="refused",
    agent_id="33333333-cccc",
    developer_id="44444444-dddd",
    address="192.0.2.7",
    user_agent="Curl/8",
    request_id="55555555-eeee",
    details={"severity": "critical", "reason": "Café “stolen”"},
)
NAME = "Straße-Agent"


@pytest.mark.parametrize(
    "sought",
    [
        ANYTHING,
        Sought(action_group="credential."),
        Sought(outcome="refused"),
        Sought(actor_kind="developer"),
        Sought(severity="critical"),
        Sought("credential.", "refused", "developer", "critical", "critical"),
        *(
            Sought(text=text)
            for text in (
                "1-AAAA",
                "2-bbbb",
                "3-cccc",
                "4-dddd",
                "5-eeee",
                "192.0.2.7",
                "curl/8",
                "CAFÉ “stolen”",
                '"reason": "caf',
                "strasse-a",
            )
        ),
    ],
)
def test_an_entry_fits_what_is_true_of_it(sought: Sought) -> None:
    assert sought.fits(ENTRY, NAME)


@pytest.mark.parametrize(
    "sought",
    [
        Sought(action_group="rotation_secret."),
        Sought(outcome="success"),
        Sought(actor_kind="agent"),
        Sought(severity="warning"),
        Sought(text="nowhere"),
        Sought(text="192.0.2.77"),
        Sought("credential.", "refused", "developer", "critical", "nowhere"),
    ],
)
def test_an_entry_does_not_fit_what_is_not_true_of_it(sought: Sought) -> None:
    assert not sought.fits(ENTRY, NAME)


def test_what_an_entry_lacks_is_not_found_in_it() -> None:
    bare = replace(ENTRY, actor_id=None, agent_id=None, developer_id=None, details={})
    assert not Sought(severity="critical").fits(bare, None)
    assert not Sought(text="none").fits(bare, None)
    assert Sought(text="192.").fits(bare, None)
