"""What else moved in a Gemfile.lock when some gems were re-pinned. Pure; line ends stay as Bundler wrote them."""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from core.errors import Reason

_AGAIN = "commit the lock that the team's own `bundle lock` writes, then release prepare"
_SPEC = re.compile(r" {4}(\S+) \((.+)\)")
_NEED = re.compile(r" {6}(\S+)")
_CHECKSUM = re.compile(r" {2}(\S+) \((\S+)\) ?(.*)")
_BUNDLED = re.compile(rb"(BUNDLED WITH\r?\n[ ]+)(\S+)")


class _Read(msgspec.Struct, frozen=True):
    """A lock, taken apart: name → versions, name → what it needs, name → checksums, and the plain sections."""

    versions: dict[str, set[str]] = {}
    needs: dict[str, set[str]] = {}
    checksums: dict[str, set[str]] = {}
    sections: dict[str, list[str]] = {}


def bundler_kept(before: bytes, after: bytes) -> bytes:
    """`after`, bundled with what `before` was: which Bundler a team uses is not ours to change."""
    was = _BUNDLED.search(before)
    return _BUNDLED.sub(lambda found: found[1] + was[2], after) if was else after


def moved(before: bytes, after: bytes, pinned: Collection[str]) -> list[Reason]:
    """All that differs beside `pinned` and what they need: nothing, when the lock may be committed.

    What the manifest asked for and the lock did not have yet may come, and what nobody needs any more may go.
    """
    old, new = _read(before), _read(after)
    ours = _closure(pinned, old) | _closure(pinned, new)
    wrong: list[Reason] = []
    for name in sorted((old.versions.keys() & new.versions.keys()) - ours):
        if (was := old.versions[name]) != (now := new.versions[name]):
            why = f"from {' and '.join(sorted(was))} to {' and '.join(sorted(now))}, and no re-pinned gem needs it"
            wrong.append(Reason(f"the lock would move {name}, too", why, _AGAIN))
    if "CHECKSUMS" in old.sections and "CHECKSUMS" not in new.sections:
        bundled = " ".join(old.sections.get("BUNDLED WITH", ["2.5 or newer"])).strip()
        why = "the bundle of this machine is older than the one that wrote them"
        wrong.append(
            Reason("the lock would lose its CHECKSUMS", why, f"install bundler {bundled} here, then try again")
        )
    else:
        wrong += [
            Reason(f"the lock would have other checksums of {name}", "it was not re-pinned", _AGAIN)
            for name in sorted(old.checksums.keys() - ours)
            if name in new.versions and old.checksums[name] != new.checksums.get(name)
        ]
    for gone in sorted(set(old.sections.get("PLATFORMS", [])) - set(new.sections.get("PLATFORMS", []))):
        wrong.append(Reason(f"the lock would lose the platform {gone.strip()}", "no re-pin asks for that", _AGAIN))
    if old.sections.get("RUBY VERSION") != new.sections.get("RUBY VERSION"):
        wrong.append(Reason("the lock would name another RUBY VERSION", "no re-pin asks for that", _AGAIN))
    return wrong


def _read(lock: bytes) -> _Read:
    read = _Read({}, {}, {}, {})
    section = name = ""
    for line in lock.decode("latin-1").splitlines():
        if line[:1].strip():
            section = line.strip()
            read.sections.setdefault(section, [])
        elif line.strip():
            read.sections[section].append(line)
            if section == "CHECKSUMS" and (found := _CHECKSUM.fullmatch(line)):
                read.checksums.setdefault(found[1], set()).add(f"{found[2]} {found[3]}")
            elif section in ("PLATFORMS", "DEPENDENCIES", "RUBY VERSION", "BUNDLED WITH"):
                continue
            elif found := _SPEC.fullmatch(line):
                name = found[1]
                read.versions.setdefault(name, set()).add(found[2])
            elif name and (found := _NEED.match(line)):
                read.needs.setdefault(name, set()).add(found[1])
    return read


def _closure(names: Collection[str], read: _Read) -> set[str]:
    """`names` and all that they need, and so on."""
    found, waiting = set[str](), list(names)
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += read.needs.get(name, ())
    return found
