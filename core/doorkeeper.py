"""The use cases of bearer tokens: operators make, list and revoke them; whoever shows one is told who speaks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from core.errors import NotFound, Refused
from core.permissions import Actor, Face, Role, require
from core.ports import Ports
from core.records import Transaction
from core.tokens import Issued, Token, digest, new_token, require_good


class Doorkeeper:
    """Knows the tokens; `new_secret` gives 256 random bits as text."""

    def __init__(self, ports: Ports, new_secret: Callable[[], str]) -> None:
        self._records, self._clock, self._new_secret = ports.records, ports.clock, new_secret

    async def issue(self, actor: Actor, name: str, roles: Sequence[Role], days: int | None = None) -> Issued:
        """Make a token that speaks as `name`; its secret is shown now and never again."""
        require(actor, Role.OPERATOR, "make tokens")
        token, secret = new_token(name, roles, days, actor.name, self._clock.now()), self._new_secret()
        async with self._records.transaction() as tx:
            return Issued(await tx.insert_token(token, digest(secret)), secret)

    async def tokens(self, actor: Actor) -> tuple[Token, ...]:
        """Every token that was ever made, newest first, without secrets."""
        require(actor, Role.OPERATOR, "list tokens")
        async with self._records.reading() as tx:
            return tuple(await tx.tokens())

    async def revoke(self, actor: Actor, id: int) -> Token:
        """Make a token worthless from this moment on; revoking it twice changes nothing."""
        require(actor, Role.OPERATOR, "revoke tokens")
        async with self._records.transaction() as tx:
            found = next((token for token in await tx.tokens() if token.id == id), None)
            if found is None:
                raise NotFound(f"unknown token {id}", "no token has this number", "token list")
            if found.revoked_at:
                return found
            revoked = msgspec.structs.replace(found, revoked_at=self._clock.now(), revoked_by=actor.name)
            await tx.update_token(found, revoked)
        return revoked

    def admit(self, token: Token | None) -> Actor:
        """Who speaks when this token was found behind what is shown; Refused when nobody does any more."""
        if token is None:
            raise Refused("this token is not known", "it was never made here, or not copied whole", "token new NAME")
        require_good(token, self._clock.now())
        return Actor(f"agent:{token.name}", token.name, frozenset(token.roles), Face.API)


async def tokens_behind(tx: Transaction, secrets: Sequence[str]) -> list[Token | None]:
    """The token of each secret, in their order; None where there is none."""
    digests = [digest(secret) for secret in secrets]
    found = await tx.tokens_of(digests)
    return [found.get(one) for one in digests]
