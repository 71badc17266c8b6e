"""The repositories of a team, by name."""

from __future__ import annotations

import pytest

from core.errors import Refused
from core.registry import App, Package, Target
from tests.world.toy_train import registry


def test_the_order_of_a_registry_is_that_of_the_file() -> None:
    assert list(registry().repositories) == ["ledger", "money", "turf", "hub", "docs"]


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
