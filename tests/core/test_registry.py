"""The repositories of a team, and what is wrong with a list of them (spec 8.5)."""

from __future__ import annotations

import pytest

from core.errors import Refused
from core.registry import App, Package, Registry, Target
from tests.world.toy_train import TARGET, registry, registry_of


def whats(found: Registry) -> list[str]:
    return [problem.what for problem in found.problems()]


def test_a_good_registry_has_no_problems() -> None:
    assert whats(registry()) == []
    assert list(registry().repositories) == ["ledger", "money", "turf", "hub", "docs"], "the order of the file"


def test_every_problem_is_found_at_once() -> None:
    """L46: two files named different production hosts."""
    package = Package(name="shared", url="x", ecosystem="toy", version_file="VERSION")
    elsewhere = App(name="turf", url="x", prod_deploy=TARGET, production_url="http://elsewhere")
    apps = [App(name="hub", url="x", hub=True), App(name="second", url="x", hub=True), App(name="shared", url="x")]
    assert whats(registry_of([package], [*apps, elsewhere])) == [
        "two hubs",
        "shared is a package and an app",
        "turf has two production addresses",
    ]


@pytest.mark.parametrize("production_url", [None, "http://localhost", "http://localhost/"])
def test_one_address_may_be_said_twice(production_url: str | None) -> None:
    app = App(name="turf", url="x", prod_deploy=TARGET, production_url=production_url)
    assert whats(registry_of([], [app])) == []
    assert app.base_url == TARGET.smoke_url


def test_an_address_may_be_said_by_either() -> None:
    silent = Target(strategy="toy")
    assert App(name="a", url="x", prod_deploy=silent, production_url="http://a").base_url == "http://a"
    assert App(name="a", url="x").base_url is None


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(Refused) as refusal:
        registry().app("trf")
    assert refusal.value.reasons[0].next == "did you mean turf?"
    with pytest.raises(Refused, match="unknown app 'money'"):
        registry().app("money")
    assert registry().app("hub").hub


def test_a_package_may_be_published_under_another_name_and_tag() -> None:
    package = Package(
        name="money", url="x", ecosystem="toy", version_file="V", published_as="acme-money", tag="money-{version}"
    )
    assert (package.distribution, package.tag_for("1.0.0")) == ("acme-money", "money-1.0.0")
    assert registry().packages["money"].tag_for("1.0.0") == "v1.0.0"
