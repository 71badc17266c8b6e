"""Slugs, branches and commands as people type them."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from core.words import checked_branch, checked_slug, counted, lasting, nearest, slug_from

BRANCHES = [
    *("feat/pay", "a/.b", "a.lock/b", "x.lock", "@", "HEAD", "HEAD/x", "a@b", "a@{b", "a//b", "a..b", "a.", "a/", "/a"),
    *(".a", "-x", "--upload-pack=x", "ä/ö", "a b", "a\tb", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", ""),
]


@given(st.text(max_size=5000))
def test_a_slug_that_is_derived_is_a_legal_one(title: str) -> None:
    slug = slug_from(title)
    assert checked_slug(slug) == slug


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Pay with crowns", "pay-with-crowns"),
        ("@everyone `rm -rf` *now*", "everyone-rm-rf-now"),
        ("Größe  ändern!", "grosse-andern"),
        ("結算費用", "jiesuanfeiyong"),
        ("Оплата картой", "oplata-kartoy"),
        ("تقرير", "tqryr"),
        ("한국어", "hangugeo"),
        ("🚀", "rocket"),
        ("x" * 5000, "x" * 48),
        ("a" * 47 + " b", "a" * 47),
    ],
)
def test_a_title_becomes_a_slug(title: str, slug: str) -> None:
    assert slug_from(title) == slug


def test_a_title_without_a_letter_gets_a_number_which_is_its_own() -> None:
    first, other = slug_from("!!"), slug_from("??")
    assert first == slug_from("!!") != other
    assert checked_slug(first).startswith("task-")


@pytest.mark.parametrize("slug", ["", "Pay", "pay day", "-pay", "p" * 49, "päy", "pay\n", "../pay"])
def test_what_is_no_slug_is_refused(slug: str) -> None:
    with pytest.raises(Refused, match="is no slug"):
        checked_slug(slug)


@pytest.mark.parametrize("branch", BRANCHES)
def test_a_branch_is_what_git_takes_for_one_and_never_an_option(branch: str) -> None:
    asked = subprocess.run(["git", "check-ref-format", f"refs/heads/{branch}"], check=False)
    legal = asked.returncode == 0 and not branch.startswith("-") and branch not in ("HEAD", "@")
    try:
        assert checked_branch(branch) == branch
        assert legal
    except Refused as refusal:
        assert not legal
        assert ("option" in refusal.reasons[0].why) == branch.startswith("-")


def test_the_nearest_name_is_offered_and_nothing_far_fetched() -> None:
    assert nearest("mony", ["money", "ledger"]) == "money"
    assert nearest("zzz", ["money", "ledger"]) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.42, "0.4 s"), (42, "42 s"), (185, "3 min 05 s"), (7800, "2 h 10 min"), (3599.7, "1 h 00 min")],
)
def test_durations_read_like_durations(seconds: float, words: str) -> None:
    assert lasting(seconds) == words


def test_numbers_of_things_read_like_numbers_of_things() -> None:
    assert [counted(number, "task") for number in (0, 1, 2)] == ["0 tasks", "1 task", "2 tasks"]
    assert [counted(number, "repository") for number in (1, 2)] == ["1 repository", "2 repositories"]
