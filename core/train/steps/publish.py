"""Publish a package: exactly the frozen bytes, and wait until consumers can install them (spec 5.5, 6.4)."""

from __future__ import annotations

from datetime import timedelta

from core.errors import Refused, StepFailed, Trouble, Unreachable
from core.observations import Already, Facts, NotYet, Observation
from core.ports import Ecosystem, Listing, Needs, Ports
from core.registry import Argv, Package, Sha
from core.releases import Artefact
from core.train.step import Results, Step
from core.words import short


class Publish(Step, frozen=True, tag="publish"):
    """One version of one package."""

    package: Package
    version: str
    frozen: Sha
    artefacts: tuple[Artefact, ...]

    @property
    def id(self) -> str:
        return f"publish:{self.package.name}"

    @property
    def title(self) -> str:
        alias = f" as {self.package.distribution}" if self.package.distribution != self.package.name else ""
        return f"publish {self.package.name} {self.version}{alias}"

    @property
    def identity(self) -> tuple[str, ...]:
        return (self.version, *(artefact.sha256 for artefact in self.artefacts))

    @property
    def irreversible(self) -> bool:
        return True

    def needs(self, ports: Ports) -> Needs:
        ecosystem = self._ecosystem(ports)
        return Needs(credentials=ecosystem.credentials, tools=ecosystem.tools, artefacts=self.artefacts)

    def commands(self, ports: Ports, results: Results) -> tuple[Argv, ...]:
        names = [artefact.filename for artefact in self.artefacts]
        return self._ecosystem(ports).publish_commands(self.package, names)

    async def observe(self, ports: Ports, results: Results) -> Observation:
        listing = await self._ecosystem(ports).listing(self.package, self.version)
        await self._refuse_foreign(listing, ports)
        if self._is_whole(listing):
            if await self._ecosystem(ports).is_installable(self.package, self.version):
                return Already({"version": self.version})
            return NotYet("published, not installable yet")
        # Listings omit what was yanked (L12): a tag without its version is the signal that the number is spent.
        tag = self.package.tag_for(self.version)
        tagged = None if listing.files else await ports.repositories.tag_commit(self.package, tag)
        if tagged is None or (tagged == self.frozen and not self.package.version_file):
            return NotYet("not published")  # or the build took its version from the very tag
        aside = "; where the build takes its version from the tag, leave version_file out of config/release_repos.yml"
        raise Refused(
            f"{self.package.name} {self.version} was yanked or taken",
            f"it is not listed, and yet origin has the tag {tag} on {short(tagged)}",
            f"bump the version, then release prepare{aside if tagged == self.frozen else ''}",
        )

    async def perform(self, ports: Ports, results: Results) -> Facts:
        files = ports.shelf.lay_out(self.artefacts, ports.scratch / "artefacts" / self.package.name)
        for remaining in reversed(range(ports.waits.publish_tries)):
            failure: Trouble | None = None
            try:
                await self._ecosystem(ports).publish(self.package, files, log=ports.log)
            except (StepFailed, Unreachable) as trouble:
                failure = trouble
            # A publish that failed may have worked (L11): what the registry lists decides.
            listing = await self._ecosystem(ports).listing(self.package, self.version)
            await self._refuse_foreign(listing, ports)
            if failure is None or self._is_whole(listing):
                break
            if not remaining:
                raise failure
            await ports.clock.sleep(ports.waits.backoff_seconds)
        await self._wait_until_installable(ports)
        return {"version": self.version}

    def _ecosystem(self, ports: Ports) -> Ecosystem:
        return ports.ecosystems[self.package.ecosystem]

    def _is_whole(self, listing: Listing) -> bool:
        return all(listing.files.get(artefact.filename) == artefact.sha256 for artefact in self.artefacts)

    async def _refuse_foreign(self, listing: Listing, ports: Ports) -> None:
        """A number that holds other bytes than ours, or that was yanked, is spent."""
        if listing.yanked:
            raise Refused(
                f"{self.package.name} {self.version} was yanked",
                "the registry lists it as yanked; installers will not take it",
                "bump the version, then release prepare",
            )
        ours = {artefact.filename: artefact.sha256 for artefact in self.artefacts}
        other = sorted(name for name, sha in listing.files.items() if ours.get(name, sha) != sha)
        if other or (listing.files and not ours.keys() & listing.files.keys()):
            names = other or sorted(listing.files)
            whose, next_ = await self._whose({(name, listing.files[name]) for name in names}, listing, ports)
            raise Refused(
                f"{self.package.name} {self.version} is taken by other bytes",
                f"the registry has {', '.join(names)} with another content than frozen; {whose}",
                next_,
            )

    async def _whose(self, listed: set[tuple[str, str]], listing: Listing, ports: Ports) -> tuple[str, str]:
        """Whose the files at our number are, as our record knows them or else the registry; and what to do then."""
        bump = "bump the version, then release prepare; do not ship what QA did not see"
        async with ports.records.reading() as tx:
            builds = await tx.builds(self.package.name)
        ours = next((one for one in builds if listed & {(it.filename, it.sha256) for it in one.artefacts}), None)
        if ours is None:
            return f"it seems to be {listing.owner}'s" if listing.owner else "it does not say whose they are", bump
        when = f"{ours.at:%Y-%m-%d %H:%M} UTC"
        if not ours.is_of(self.package, self.frozen):
            return f"we built them from {short(ours.commit)} at {when}", bump
        again = "its build makes other bytes each time"
        if listed == {(it.filename, it.sha256) for it in ours.artefacts}:
            return f"we built them from this commit at {when}, and {again}", "release prepare, which takes these files"
        return f"we built them from this commit at {when} and have lost the others, and {again}", bump

    async def _wait_until_installable(self, ports: Ports) -> None:
        """Wait on the surface that installers read (L14), bounded; one silent moment of it proves nothing."""
        deadline = ports.clock.now() + timedelta(seconds=ports.waits.install_seconds)
        silent: Unreachable | None = None
        while True:
            try:
                if await self._ecosystem(ports).is_installable(self.package, self.version):
                    return
                silent = None
            except Unreachable as trouble:
                silent = trouble
            if ports.clock.now() >= deadline:
                break
            await ports.clock.sleep(ports.waits.install_poll_seconds)
        if silent:
            raise silent
        raise StepFailed(
            f"{self.package.name} {self.version} is published but not installable",
            f"the index did not offer it within {ports.waits.install_seconds:g} s",
            "release resume: it goes on waiting and publishes nothing twice",
        )
