"""Answers that end a rotation: what they say, and that nothing is thrown away."""

import json
from typing import Any

import httpx
import pytest

from keyturn.client import ClientError, CredentialsRefused, NeedsDeveloper, NotKeyturn
from keyturn.client.credentials_file import CredentialsFile
from keyturn.client.effects import Answer
from keyturn.core.credential import Kind
from tests.client import fake as world
from tests.client.fake import FakeKeyturn, credential, idempotency, problem, says
from tests.client.steps import Stage, knows_the_pair, pending_key, rotation

# Each ends at once, and leaves the pair and the unfinished request in the file.
FINAL: dict[str, tuple[Answer, type[ClientError]]] = {
    "401": (problem(401, "invalid_credentials"), CredentialsRefused),
    "revoked": (problem(403, "agent_revoked"), NeedsDeveloper),
    "quarantined": (problem(403, "agent_quarantined"), NeedsDeveloper),
    "no secret": (problem(403, "no_rotation_secret"), NeedsDeveloper),
    "401 of a proxy": (Answer(401, httpx.Headers(), b"login"), NotKeyturn),
    "a web page": (Answer(200, httpx.Headers({"content-type": "text/html"}), b"<p>"), NotKeyturn),
    "nothing": (Answer(204, httpx.Headers(), b""), NotKeyturn),
    "other JSON": (world.success(200, {"ok": True}), NotKeyturn),
    "a list": (Answer(404, httpx.Headers(world.JSON), b"[]"), NotKeyturn),
    "a redirect": (Answer(307, httpx.Headers({"location": "https://x.example"}), b""), NotKeyturn),
    "another agent's": (
        world.success(
            200,
            {
                "agentId": "another",
                "apiKey": credential(Kind.API_KEY),
                "rotationSecret": credential(Kind.ROTATION_SECRET),
            },
        ),
        NotKeyturn,
    ),
}


@pytest.mark.parametrize("fault", FINAL)
def test_nothing_is_thrown_away_after(stage: Stage, file: CredentialsFile, fault: str) -> None:
    answer, expected = FINAL[fault]
    stage.fake.faults = [says(answer)]
    with pytest.raises(expected) as raised:
        stage.play(rotation(stage, file))
    assert stage.sent() == ["rotate-key"]
    assert knows_the_pair(file, stage.fake)
    assert pending_key(file) == idempotency(stage.fake.rotations()[0])
    assert all((raised.value.wrong, raised.value.safe, raised.value.next_step))


def swapped(members: dict[str, Any]) -> dict[str, Any]:
    pair = {"apiKey": members["rotationSecret"], "rotationSecret": members["apiKey"]}
    return members | pair


@pytest.mark.parametrize("damage", ["swapped", "shortened", "null"])
def test_a_pair_that_is_not_well_formed_is_not_kept(
    stage: Stage, file: CredentialsFile, damage: str
) -> None:
    def answer(fake: FakeKeyturn, request: httpx.Request) -> Answer:
        members = json.loads(fake.decide(request).body)
        if damage == "swapped":
            members = swapped(members)
        elif damage == "shortened":
            members["apiKey"] = members["apiKey"][:-1]
        else:
            members["rotationSecret"] = None
        return world.success(200, members)

    before = file.read()
    stage.fake.faults = [answer]
    with pytest.raises(NotKeyturn):
        stage.play(rotation(stage, file))
    assert file.read().has_key_of(before)
    stage.play(rotation(stage, file))
    assert knows_the_pair(file, stage.fake)
