"""What must not stand in one list of repositories (spec 8.5): each rule over the ways in which it is broken."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from core.collisions import place_of, problems
from core.registry import App, Package, Registry, Target
from tests.world.toy_train import TARGET, registry_of

HERE = Target(strategy="git_push_heroku", place="https://git.heroku.com/gold.git", smoke_url="https://gold.example")
ONE_PLACE = [
    "git@github.com:acme/gold.git",
    "git@github.com:acme/gold",
    "git@GitHub.com:/acme/gold.git/",
    "ssh://git@github.com/acme/gold.git",
    "ssh://git@github.com:22/acme/gold",
    "https://github.com/acme/gold",
    "https://ada@github.com/acme/gold.git/",
    "https://github.com:443/acme//gold.git",
    "https://github.com/acme/%67old.git",
    "git://github.com/acme/gold.git",
]


def whats(found: Registry) -> list[str]:
    return [problem.what for problem in problems(found)]


def package(name: str, url: str = "", **more: str) -> Package:
    said: dict[str, Any] = {"ecosystem": "pypi", "version_file": "V", **more}
    return Package(name=name, url=url or f"/git/{name}", **said)


def app(name: str, url: str = "", **more: Any) -> App:
    return App(name=name, url=url or f"/git/{name}", **more)


def test_a_good_registry_has_no_problems() -> None:
    qa = replace(HERE, place="https://git.heroku.com/gold-qa.git", smoke_url="https://gold-qa.example")
    assert whats(registry_of([package("money")], [app("gold", qa_deploy=qa, prod_deploy=HERE), app("silver")])) == []


def test_every_problem_is_found_at_once() -> None:
    """L46: two files named different production hosts."""
    elsewhere = app("turf", prod_deploy=TARGET, production_url="http://elsewhere")
    apps = [app("hub", hub=True), app("second", hub=True), app("shared"), elsewhere]
    assert whats(registry_of([package("shared")], apps)) == [
        "two hubs",
        "shared is a package and an app",
        "turf has two production addresses",
    ]


@pytest.mark.parametrize("production_url", [None, "http://localhost", "http://localhost/"])
def test_one_address_may_be_said_twice(production_url: str | None) -> None:
    one = app("turf", prod_deploy=TARGET, production_url=production_url)
    assert whats(registry_of([], [one])) == []
    assert one.base_url == TARGET.smoke_url


@pytest.mark.parametrize(
    ("release", "main"),
    [("main", "main"), ("refs/heads/main", "main"), ("Main", "main"), ("trunk", "refs/heads/trunk")],
)
def test_a_prepare_that_would_merge_into_main_is_refused(release: str, main: str) -> None:
    branches = {"release_branch": release, "main_branch": main}
    found = whats(registry_of([package("money", **branches)], [app("hub", **branches)]))
    assert found == [f"{name} collects its tasks on its main branch" for name in ("money", "hub")]


@pytest.mark.parametrize("url", ONE_PLACE)
def test_two_names_for_one_repository_are_named_however_its_address_is_written(url: str) -> None:
    assert whats(registry_of([], [app("gold", ONE_PLACE[0]), app("silver", url)])) == [
        "gold and silver are one repository"
    ]
    assert whats(registry_of([package("gold", url)], [app("silver", ONE_PLACE[0])])) == [
        "gold and silver are one repository"
    ]


@pytest.mark.parametrize(
    "url",
    [
        *("git@github.com:acme/silver.git", "git@gitlab.com:acme/gold.git", "https://github.com:8443/acme/gold"),
        *("/acme/gold", "https://github.com/acme/gold.git/sub", "ssh://git@github.com:2222/acme/gold"),
    ],
)
def test_other_places_are_other_repositories(url: str) -> None:
    assert whats(registry_of([], [app("gold", ONE_PLACE[0]), app("silver", url)])) == []


@pytest.mark.parametrize(
    ("one", "other"), [("/git/x/", "/git/x"), ("/git/a/../x", "/git/x"), ("file:///git/x", "/git//x")]
)
def test_paths_are_compared_as_places(one: str, other: str) -> None:
    assert place_of(one) == place_of(other)


@pytest.mark.parametrize("name", ["acme-money", "Acme_Money", "acme.money", "ACME--money"])
def test_two_packages_of_one_name_in_one_registry_are_refused(name: str) -> None:
    one = package("money", published_as="acme-money")
    assert whats(registry_of([one, package("coins", published_as=name)], [])) == [
        "money and coins are published as one package"
    ]
    assert whats(registry_of([one, package("coins", published_as=name, ecosystem="rubygems")], [])) == []


@pytest.mark.parametrize("place", ["https://git.heroku.com/gold.git", "https://git.heroku.com/gold/"])
def test_two_targets_at_one_place_are_refused(place: str) -> None:
    elsewhere = replace(HERE, place=place, smoke_url="https://other.example", options={"boot_seconds": 7})
    assert whats(registry_of([], [app("gold", prod_deploy=HERE), app("silver", prod_deploy=elsewhere)])) == [
        "production of gold and production of silver are one target"
    ]
    assert whats(registry_of([], [app("gold", prod_deploy=HERE, qa_deploy=elsewhere)])) == [
        "production of gold and QA of gold are one target"
    ]
    assert whats(registry_of([], [app("gold", prod_deploy=HERE), app("silver", qa_deploy=elsewhere)])) == [
        "production of gold and QA of silver are one target"
    ]


def test_a_site_that_is_judged_by_another_ones_address_is_refused() -> None:
    script = Target(strategy="repo_script", options={"script": ("bin/deploy",)}, smoke_url="https://gold.example/")
    assert whats(registry_of([], [app("gold", prod_deploy=HERE), app("silver", prod_deploy=script)])) == [
        "production of gold and production of silver have one address"
    ]


def test_the_same_script_in_two_repositories_is_two_scripts_and_in_one_it_is_production() -> None:
    script = Target(strategy="repo_script", options={"script": ("bin/deploy",)})
    assert whats(registry_of([], [app("gold", prod_deploy=script), app("silver", prod_deploy=script)])) == []
    assert whats(registry_of([], [app("gold", prod_deploy=script, qa_deploy=script)])) == [
        "gold has its QA in production"
    ]
