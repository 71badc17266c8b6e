"""Who speaks: operators make, list and revoke tokens, and say which identities are one person (spec 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from core.errors import NotFound, Refused
from core.events import Event, EventKind
from core.people import Identity, Link, People, require_linkable, together, unlinked
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

    async def people(self, actor: Actor) -> tuple[Identity, ...]:
        """Everybody who has acted through any face, the newest first, and who is the same person."""
        require(actor, Role.OPERATOR, "list people")
        async with self._records.reading() as tx:
            return together(People(await tx.links()), await tx.identities())

    async def link(self, actor: Actor, one: str, other: str) -> tuple[str, ...]:
        """Say that two identities are one person: neither reviews what the other built. Gives all of that person."""
        require(actor, Role.OPERATOR, "link people")
        async with self._records.transaction() as tx:
            known = {identity.id for identity in await tx.identities()}
            known |= {token.identity for token in await tx.tokens()}
            require_linkable(People(links := await tx.links()), known, one, other)
            new = Link(one=one, other=other, linked_by=actor.id, linked_at=self._clock.now())
            await tx.add_link(new)
            await self._tell(tx, EventKind.PERSON_LINKED, actor, one, other)
        return (one, *People([*links, new]).of(one))

    async def unlink(self, actor: Actor, identity: str) -> tuple[str, ...]:
        """Take an identity out of its person; for what was done until now it stays in. Gives who it was linked to."""
        require(actor, Role.OPERATOR, "unlink people")
        async with self._records.transaction() as tx:
            people = People(await tx.links())
            ended, new = unlinked(people, identity, actor.id, self._clock.now())
            for link in ended:
                await tx.end_link(link)
            for link in new:
                await tx.add_link(link)
            await self._tell(tx, EventKind.PERSON_UNLINKED, actor, identity, *people.of(identity))
        return people.of(identity)

    async def _tell(self, tx: Transaction, kind: EventKind, actor: Actor, *identities: str) -> None:
        facts = {"identities": list(identities)}
        at = self._clock.now()
        await tx.append_event(Event(kind=kind, at=at, actor=actor.name, actor_id=actor.id, facts=facts))

    def admit(self, token: Token | None) -> Actor:
        """Who speaks when this token was found behind what is shown; Refused when nobody does any more."""
        if token is None:
            raise Refused("this token is not known", "it was never made here, or not copied whole", "token new NAME")
        require_good(token, self._clock.now())
        return Actor(token.identity, token.name, frozenset(token.roles), Face.API)


async def tokens_behind(tx: Transaction, secrets: Sequence[str]) -> list[Token | None]:
    """The token of each secret, in their order; None where there is none."""
    digests = [digest(secret) for secret in secrets]
    found = await tx.tokens_of(digests)
    return [found.get(one) for one in digests]
