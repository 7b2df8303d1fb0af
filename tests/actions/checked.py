"""A service that checks keys, and what it is told."""

from dataclasses import dataclass, field

from keyturn.actions.authenticate import authenticate_service
from keyturn.actions.manage_tokens import NewToken, create_service_token_for_all, create_token
from keyturn.actions.service import Principal, Service
from keyturn.actions.verify_key import Check, verify_keys
from keyturn.core.agent import Agent
from keyturn.core.credential import Kind
from keyturn.core.token import Token
from tests.actions.world import World, call
from tests.storage.batches import do

ONCE = "one-charge-and-not-another"


@dataclass
class Shop:
    """A service with a token of the command line's, or a developer's."""

    world: World
    developer: Principal | None = None
    token: Token = field(init=False)

    def __post_init__(self) -> None:
        service = self.world.service
        if self.developer is None:
            made = do(create_service_token_for_all(service, "shop"))
        else:
            new = NewToken(Kind.SERVICE_TOKEN, "shop", self.developer.developer_id)
            _, made = do(create_token(service, call(), self.developer, new))
        self.token = do(authenticate_service(service, call(), made.reveal()))

    def check(
        self, *checks: Check, once: str | None = None, service: Service | None = None
    ) -> list[str | int]:
        """For each key the balance that is left, or the code of the refusal."""
        found = do(verify_keys(service or self.world.service, call(), self.token, checks, once))
        return [each.credit_balance if isinstance(each, Agent) else each.code for each in found]
