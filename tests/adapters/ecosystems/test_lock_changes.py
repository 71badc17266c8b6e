"""A re-pin moves what it pins and what that needs; whatever else moves in a Gemfile.lock is named."""

from __future__ import annotations

import pytest

from adapters.ecosystems.lock_changes import bundler_kept, moved
from adapters.ecosystems.rubygems import _lock_trouble  # pyright: ignore[reportPrivateUsage]
from core.errors import Refused, StepFailed
from core.ports import Finished, Pin

LOCK = """\
GIT
  remote: https://git.invalid/x
  revision: 868759febe8a48f481fbf3ab09d54c13c80a01ed
  specs:
    x (1.1.0)
      base (>= 1)

GEM
  remote: https://rubygems.org/
  specs:
    base (1.0)
    nokogiri (1.2-x86_64-linux)
    other (2.0)

PLATFORMS
  ruby
  x86_64-linux

DEPENDENCIES
  other
  x!

CHECKSUMS
  base (1.0) sha256=aa
  nokogiri (1.2-x86_64-linux) sha256=bb
  other (2.0) sha256=cc
  x (1.1.0)

BUNDLED WITH
   2.6.9
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("was", "now", "named"),
    [
        ("    x (1.1.0)\n", "    x (1.2.0)\n", None),
        ("    base (1.0)", "    base (1.5)", None),
        ("  base (1.0) sha256=aa", "  base (1.0) sha256=dd", None),
        ("    other (2.0)", "    other (2.1)", "other"),
        ("    nokogiri (1.2-x86_64-linux)", "    nokogiri (1.3-x86_64-linux)", "nokogiri"),
        ("  other (2.0) sha256=cc", "  other (2.0) sha256=ee", "checksums of other"),
        ("  other (2.0) sha256=cc\n", "", "checksums of other"),
        ("  ruby\n", "", "platform ruby"),
        (LOCK[LOCK.index("CHECKSUMS") : LOCK.index("BUNDLED")], "", "CHECKSUMS"),
        ("BUNDLED WITH", "RUBY VERSION\n   ruby 3.1\n\nBUNDLED WITH", "RUBY VERSION"),
    ],
)
def test_whatever_moves_beside_the_pins_and_what_they_need_is_named(was: str, now: str, named: str | None, end: str):
    assert was in LOCK
    before, after = (text.replace("\n", end).encode() for text in (LOCK, LOCK.replace(was, now)))
    found = [reason.what for reason in moved(before, after, ["x"])]
    assert len(found) == (named is not None), found
    assert all(named in what for what in found if named)


def test_a_lock_that_loses_its_checksums_says_which_bundler_is_needed():
    after = LOCK[: LOCK.index("CHECKSUMS")] + "BUNDLED WITH\n   2.3.15\n"
    [reason] = moved(LOCK.encode(), after.encode(), ["x"])
    assert "install bundler 2.6.9" in reason.next


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_bundler_of_the_team_stays_in_its_lock(end: bytes):
    before = LOCK.encode().replace(b"\n", end)
    assert bundler_kept(before, before.replace(b"2.6.9", b"2.3.15")) == before
    bare = before[: before.index(b"BUNDLED")]
    assert bundler_kept(bare, before) == before


@pytest.mark.parametrize(
    ("exit_code", "words", "kind"),
    [
        (7, "Could not find gem 'x (= 1.2.0)' in rubygems repository https://rubygems.org/", StepFailed),
        (7, "Could not find gem 'x (= 1.1.0)' in rubygems repository https://rubygems.org/", Refused),
        (7, "Could not find gem 'otherlib (~> 2)' in rubygems repository", Refused),
        (7, "Could not find gem 'nosuch'.", Refused),
        (
            7,
            "Could not find gems matching 'x (= 1.2.0)' valid for all resolution platforms\n"
            "1 version excluded by the cooldown setting",
            Refused,
        ),
        (7, "Could not find gem 'x (= 1.2.0)'. 1 version excluded by the cooldown setting", Refused),
        (4, "There was an error parsing `Gemfile`", Refused),
        (6, 'Bundler could not find compatible versions for gem "x"', Refused),
        (11, "Revision gone does not exist in the repository", Refused),
        (17, "Retrying fetcher due to error (4/4)", StepFailed),
        (17, "Could not reach host gems.h. Check your network connection and try again.", StepFailed),
        (17, "Authentication is required for 127.0.0.1.", Refused),
        (17, "Access token could not be authenticated", Refused),
        (18, "Your Ruby version is 3.1.2, but your Gemfile specified 3.2", Refused),
        (20, "Your lockfile contains merge conflicts.", Refused),
    ],
)
def test_only_what_we_just_published_and_a_silent_index_may_lag(exit_code: int, words: str, kind: type[Exception]):
    trouble = _lock_trouble(Finished(exit_code, "", words), [Pin("x", "rubygems", "x", "1.2.0")])
    assert type(trouble) is kind
