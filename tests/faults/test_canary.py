"""A short sample of the campaign, with a fixed seed."""

from .canary import run


def test_no_credential_is_found_anywhere_but_with_its_holder() -> None:
    outcome = run(1, seed=1)
    assert outcome.violations == []
    assert outcome.points > 0
