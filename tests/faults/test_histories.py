"""A few histories, with a fixed seed; the campaign has a thousand, and one for each bug."""

from tests.postgres import Cluster

from .histories import run


def test_some_order_explains_what_clients_of_four_servers_see_while_these_are_killed(
    postgres: Cluster,
) -> None:
    outcome = run(4, seed=1, cluster=postgres)
    assert outcome.violations == []
    assert outcome.notes["connections cut"] > 0
    assert outcome.notes["servers killed"] > 0
    assert outcome.notes["changes of credentials"] > 8
