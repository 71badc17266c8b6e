"""Bad input at the command line: refused with what, why and next, exit code 2, and nothing has changed."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from bot.cli import cli

REFUSED = 2
FILES = {
    "release_repos.yml": """\
packages:
  money: {ecosystem: pypi, url: /nowhere/money.git, version_file: pyproject.toml}
apps:
  treasury:
    url: /nowhere/treasury.git
    hub: true
    prod_deploy: {strategy: git_push_heroku, smoke_url: "http://127.0.0.1:9", options: {app: treasury}}
  kiosk: {url: /nowhere/kiosk.git}
""",
    "devops_test_suites.yml": "suites: {}\n",
    "feature_shapes.yml": "shapes: {ui: [unit], library: [unit]}\n",
    "bot.yml": "discord: {guild_id: 1, channel_id: 2, role_ids: {operator: 3, agent: 4, reviewer: 5}}\n",
}
TASK = ("task", "new", "Gold seats", "--repo", "treasury", "--shape", "ui")


def joined(value: str | tuple[str, ...]) -> str:
    """A name for a case: what was typed."""
    return " ".join(value) if isinstance(value, tuple) else ""


class Desk:
    """A configuration in a folder, and somebody who types."""

    def __init__(self, folder: Path) -> None:
        self.config, self.state = folder / "config", folder / "state"
        self.config.mkdir()
        for name, text in FILES.items():
            (self.config / name).write_text(text)
        self.env = {"STATIONMASTER_CONFIG": str(self.config), "STATIONMASTER_STATE": str(self.state)}

    def type(self, *words: str) -> Result:
        """Type `stationmaster WORDS`."""
        return CliRunner().invoke(cli, words, env=self.env, catch_exceptions=False)

    def done(self, *words: str) -> str:
        """Type it, and it works; what it printed."""
        result = self.type(*words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, *words: str) -> str:
        """Type it, and it is refused with what, why and next; what it said."""
        before = self.everything() if self.record.exists() else None
        result = self.type(*words)
        assert result.exit_code == REFUSED, result.output
        assert result.stdout == ""
        require_reasons(result.stderr)
        assert before is None or self.everything() == before
        return result.stderr

    def everything(self) -> list[str]:
        """The whole record, but for who held the train."""
        with closing(sqlite3.connect(self.record)) as database:
            return [line for line in database.iterdump() if '"leases"' not in line]

    @property
    def record(self) -> Path:
        """The database."""
        return self.state / "stationmaster.db"


def require_reasons(text: str) -> None:
    """Every problem says what, why and what to do next, each on its line; of a file the place is why enough."""
    assert re.fullmatch(r"(✗ \S.*\n    [^→\s].*\n    → \S.*\n|✗ /.*\.yml.*\n    → \S.*\n)+", text), text


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Nothing is on record."""
    return Desk(tmp_path)


@pytest.fixture(scope="session")
def one_train(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record with a task, and a train that is open."""
    desk = Desk(tmp_path_factory.mktemp("one-train"))
    desk.done(*TASK)
    desk.done("release", "open", "r1")
    return desk.state


@pytest.fixture
def busy_desk(desk: Desk, one_train: Path) -> Desk:
    """The task gold-seats and the train r1 are on record."""
    shutil.copytree(one_train, desk.state)
    return desk


# ── names ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("release", "status", "r2"), "did you mean r1?"),
        (("release", "freeze", "r2"), "did you mean r1?"),
        (("release", "ship", "zzz"), "unknown release 'zzz'"),
        (("release", "open", "Release 1"), "'Release 1' is no slug"),
        (("release", "open", "--", "--force"), "'--force' is no slug"),
        (("release", "open", "r2"), "r1"),
        (("release", "add", "gold-seat"), "did you mean gold-seats?"),
        (("release", "eject", "gold-seats"), "gold-seats does not ride r1"),
        (("release", "freeze"), "r1 has no members"),
        (("release", "resume"), "r1 has nothing to resume"),
        (("release", "cancel"), "r1 has nothing to cancel"),
        (("release", "notes"), "there are no notes yet"),
        (("release", "notes", "r1"), "r1 has no notes"),
        (("task", "show", "gold-seets"), "did you mean gold-seats?"),
        (("task", "move", "gold-seats", "bilding"), "did you mean building?"),
        (("task", "move", "gold-seats", "shipped"), "legal from here: building"),
        (("task", "move", "gold-seats", "blocked"), "legal from here: building"),
        (("task", "list", "--stage", "revewed"), "did you mean reviewed?"),
        (("task", "list", "--after", "gold-seets"), "did you mean gold-seats?"),
        (("task", "handoff", "gold-seats", "--changed", "x"), "gold-seats"),
        (("task", "unblock", "gold-seats"), "gold-seats is not blocked"),
        (("task", "block", "gold-seats", "no gold"), "legal from here: building"),
        (("task", "comment", "gold-seats", " "), "there is nothing to say"),
        (("task", "resolve", "gold-seats", "7"), "gold-seats has no entry #7"),
        (("task", "review", "gold-seats", "hevy", "approve"), "did you mean heavy?"),
        (("task", "review", "gold-seats", "heavy", "aprove"), "did you mean approve?"),
        (("task", "review", "gold-seats", "heavy", "approve"), "gold-seats is not up for review"),
        (("task", "review", "gold-seats", "heavy", "approve", "--finding", "blokker: x"), "did you mean blocker?"),
        (("task", "size", "gold-seats", "dve", "M"), "did you mean Dev?"),
        (("task", "size", "gold-seats", "Dev", "XXL"), "did you mean XL?"),
        (("task", "actual", "gold-seats", "M"), "gold-seats has no actual size yet"),
        (("task", "depend", "gold-seats", "gold-seats"), "gold-seats"),
        (("task", "archive", "gold-seats"), "legal from here: building"),
        (("task", "edit", "gold-seats", "--shape", "uii", "--repo", "tresury"), "did you mean treasury?"),
        (("prod-smoke", "treasurry"), "did you mean treasury?"),
    ],
    ids=joined,
)
def test_what_is_unknown_or_cannot_be_now_is_refused(busy_desk: Desk, words: tuple[str, ...], said: str):
    assert said in busy_desk.refused(*words)


def test_a_release_is_not_opened_when_one_of_its_tasks_is_unknown(desk: Desk):
    desk.done(*TASK)
    assert "did you mean gold-seats?" in desk.refused("release", "open", "r1", "gold-seets")
    assert "no release is active" in desk.refused("release", "ship")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("--repo", "tresury"), "did you mean treasury?"),
        (("--shape", "uii"), "did you mean ui?"),
        (("--type", "feat"), "did you mean feature?"),
        (("--slug", "Gold Seats"), "'Gold Seats' is no slug"),
        (("--repo", "treasury=--upload-pack=touch /tmp/x"), "it looks like an option"),
        (("--repo", "treasury=a..b"), "git refuses such names"),
        (("--post-deploy", "seed 'gold"), "no closing quotation at character 6"),
        (("--depends-on", "nothing"), "unknown task 'nothing'"),
    ],
    ids=joined,
)
def test_a_task_with_something_wrong_in_it_is_not_created(desk: Desk, changed: tuple[str, ...], said: str):
    assert said in desk.refused(*TASK, *changed)
    assert json.loads(desk.done("task", "list", "--json"))["total"] == 0


def test_everything_wrong_with_a_task_is_said_at_once(desk: Desk):
    said = desk.refused("task", "new", " ", "--repo", "a=-x", "--repo", "b", "--shape", "x", "--post-deploy", "'")
    for what in ("needs a title", "unknown repository 'a'", "unknown repository 'b'", "'-x'", "shape 'x'", "malformed"):
        assert what in said


@pytest.mark.parametrize(
    "title",
    ["\x1b[2J\x1b[31mred", "a\r\nb\x00c", "\u202eevil", "@everyone <@1> `*_~|", "=HYPERLINK(1)", "ß" * 200, "🪙 x"],
)
def test_a_hostile_title_cannot_repaint_the_terminal(desk: Desk, title: str):
    result = desk.type("task", "new", title, "--repo", "treasury", "--shape", "ui", "--slug", "x")
    shown = desk.done("task", "show", "x") + desk.done("task", "list") if result.exit_code == 0 else result.stderr
    assert all(char.isprintable() or char == "\n" for char in shown), shown


@pytest.mark.parametrize("title", ["", "  ", "x" * 201])
def test_a_title_that_is_none_is_refused(desk: Desk, title: str):
    desk.refused("task", "new", title, "--repo", "treasury", "--shape", "ui")


@pytest.mark.parametrize("title", ["🪙", "結算費用", "تقرير", "Оплата", "～"])
def test_a_title_in_any_script_is_a_title(desk: Desk, title: str):
    desk.done("task", "new", title, "--repo", "treasury", "--shape", "ui")
    assert title in desk.done("task", "list")


@pytest.mark.parametrize("title", ["pay\0day", "caf\udce9"])
def test_a_title_that_no_record_can_keep_is_told_as_such(desk: Desk, title: str):
    said = desk.refused("task", "new", title, "--repo", "treasury", "--shape", "ui", "--slug", "x")
    assert "NUL character" in said or "no UTF-8" in said


# ── configuration ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("release_repos.yml", "hub: true", "hubb: true", "did you mean hub?"),
        ("release_repos.yml", "git_push_heroku", "git_push_heruko", "did you mean git_push_heroku?"),
        ("release_repos.yml", "pypi", "pipy", "did you mean pypi?"),
        ("release_repos.yml", "options: {app", "options: {ap", "did you mean app?"),
        ("release_repos.yml", "http://127.0.0.1:9", "127.0.0.1", "must be an address"),
        ("release_repos.yml", "url: /nowhere/kiosk.git", "url: --upload-pack=x", "looks like an option"),
        ("release_repos.yml", "/nowhere/kiosk.git}", "x, main_branch: -f}", "it looks like an option"),
        ("release_repos.yml", "/nowhere/kiosk.git}", '/x, test_cmd: "run \'it"}', "malformed command"),
        ("release_repos.yml", "packages:", "packages: {", "malformed YAML"),
        ("feature_shapes.yml", "[unit]", "[unti]", "did you mean unit?"),
        ("bot.yml", "guild_id: 1", "guild_id: one", "guild_id"),
        ("bot.yml", "guild_id: 1", "guild_id: 1, guild: 2", "guild"),
    ],
)
def test_a_mistake_in_a_file_is_refused_with_its_place(desk: Desk, file: str, old: str, new: str, said: str):
    path = desk.config / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    told = desk.refused("repos")
    assert said in told
    assert f"{path}:" in told
    assert not desk.state.exists()


def test_every_mistake_in_every_file_is_said_at_once(desk: Desk):
    for name in FILES:
        (desk.config / name).write_text("unknown_key: 1\n")
    assert all(name in desk.refused("task", "list") for name in FILES)


def test_a_folder_without_a_configuration_is_refused_with_every_file_that_is_missing(desk: Desk, tmp_path: Path):
    desk.env["STATIONMASTER_CONFIG"] = str(tmp_path / "nowhere")
    said = desk.refused("release", "status")
    assert all(f"nowhere/{name}" in said for name in FILES)
    assert not desk.state.exists()


# ── the record ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:///{config}/bot.yml/record.db", "unable to open"),
        ("sqlite:///{config}/damaged.db", "not a database"),
        ("mysql://localhost/x", "SQLite and PostgreSQL are known"),
        ("nonsense", "is no URL"),
    ],
)
def test_a_database_that_cannot_be_used_is_refused(desk: Desk, url: str, said: str):
    (desk.config / "damaged.db").write_bytes(b"no database at all" * 100)
    desk.env["STATIONMASTER_DATABASE_URL"] = url.format(config=desk.config)
    result = desk.type("task", "list")
    assert result.exit_code == REFUSED, result.output
    require_reasons(result.stderr)
    assert said in result.stderr


def test_a_database_that_cannot_be_written_is_refused_and_still_there(busy_desk: Desk):
    seen = busy_desk.everything()
    busy_desk.env["STATIONMASTER_DATABASE_URL"] = f"sqlite:///file:{busy_desk.record}?mode=ro&uri=true"
    assert "readonly" in busy_desk.refused("task", "move", "gold-seats", "building")
    assert busy_desk.everything() == seen


def test_a_state_folder_that_cannot_be_written_is_refused(desk: Desk):
    desk.env["STATIONMASTER_STATE"] = str(desk.config / "bot.yml" / "state")
    assert "set STATIONMASTER_STATE to a folder of yours" in desk.refused("task", "list")


# ── words of the command line itself ───────────────────────────────────────────────────────────────────────────────


def every_command(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    """The words of every command and group."""
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, *path, name)
        else:
            yield (*path, name)


@pytest.mark.parametrize("words", list(every_command(cli)), ids=" ".join)
def test_help_explains_and_does_nothing_else(desk: Desk, words: tuple[str, ...]):
    desk.env["STATIONMASTER_CONFIG"] = "/nowhere"
    long, short = desk.done(*words, "--help"), desk.done(*words, "-h")
    assert long == short
    assert re.search(r"^  \S.*\.$", long, re.MULTILINE), long
    assert not desk.state.exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("relase",), "No such command 'relase'"),
        (("release", "sihp"), "No such command 'sihp'"),
        (("release", "ship", "--forse"), "No such option"),
        (("release", "ship", "--confirm"), "requires an argument"),
        (("release", "resume", "--answer", "perhaps"), "'happened', 'again'"),
        (("release", "open"), "Missing argument 'NAME'"),
        (("task", "new", "x", "--shape", "ui"), "Missing option '--repo'"),
        (("task", "list", "--limit", "0"), "x>=1"),
        (("release", "status", "r1", "r2"), "unexpected extra argument"),
    ],
)
def test_words_that_are_not_understood_are_refused_before_anything_is_touched(
    desk: Desk, words: tuple[str, ...], said: str
):
    result = desk.type(*words)
    assert result.exit_code == REFUSED
    assert said in result.stderr
    assert "Error: " in result.stderr
    assert not desk.state.exists()


def test_what_is_found_comes_as_json_where_programs_ask(busy_desk: Desk):
    found: Mapping[str, object] = json.loads(busy_desk.done("task", "show", "gold-seats", "--json"))["task"]
    assert (found["slug"], found["stage"]) == ("gold-seats", "designed")
    assert json.loads(busy_desk.done("release", "status", "--json"))["release"]["state"] == "assembling"
    assert json.loads(busy_desk.done("release", "status", "--json"))["standing"]["release"] == "r1"


def test_a_train_is_not_worked_here_by_somebody_whose_board_is_elsewhere(busy_desk: Desk) -> None:
    """Their tasks go through the API; a release command would quietly work on another record."""
    busy_desk.env["STATIONMASTER_URL"] = "https://station.example.com"
    assert "does not go through the API" in busy_desk.refused("release", "abandon")


def test_help_tells_commands_in_the_order_of_their_use_and_to_the_end_of_the_sentence(desk: Desk) -> None:
    said = desk.done("release", "--help")
    commands = said.partition("Commands:")[2]
    named = re.findall(r"^  (\w+)  ", commands, re.MULTILINE)
    assert named[:7] == ["open", "add", "eject", "assemble", "prepare", "freeze", "plan"]
    assert "..." not in commands


def test_the_way_out_of_a_refusal_can_be_typed_as_it_stands_there(desk: Desk) -> None:
    assert "→ stationmaster release open NAME" in desk.refused("release", "plan")


def test_every_command_of_the_readme_is_there() -> None:
    table = (Path(__file__).parents[2] / "README.md").read_text().partition("| command |")[2].partition("\n\n")[0]
    for row in table.splitlines()[2:]:
        first, *others = re.findall(r"`(?:stationmaster )?([a-z -]*[a-z])[ A-Z]*`", row.split("|")[1])
        group = first.split()[:-1]
        for words in (first.split(), *([*group, other] for other in others)):
            assert CliRunner().invoke(cli, [*words, "--help"]).exit_code == 0, words


def test_an_edit_that_names_no_change_is_refused(busy_desk: Desk) -> None:
    """It looked as if it had done what a refused handoff advises."""
    assert "no change was given" in busy_desk.refused("task", "edit", "gold-seats")


@pytest.mark.parametrize(
    ("words", "what", "next_"),
    [
        (("task", "new", "--json"), "Missing argument 'TITLE'.", "stationmaster task new --help"),
        (("task", "shw", "--json"), "No such command 'shw'. Did you mean 'show'?", "stationmaster task --help"),
        (("--json", "task"), "No such option '--json'", "stationmaster --help"),
        (("task", "list", "--limit", "x", "--json"), "Invalid value for '--limit'", "stationmaster task list --help"),
        (("task", "list", "--json", "--colour"), "No such option '--colour'", "stationmaster task list --help"),
    ],
    ids=lambda value: joined(value),
)
def test_whoever_asks_for_json_gets_mistakes_of_typing_as_json(
    desk: Desk, words: tuple[str, ...], what: str, next_: str
) -> None:
    result = desk.type(*words)
    [reason] = json.loads(result.stderr)["reasons"]
    assert (result.exit_code, reason["next"]) == (REFUSED, next_)
    assert reason["what"].startswith(what)


def test_a_json_behind_two_dashes_is_a_word_like_others(desk: Desk) -> None:
    result = desk.type("task", "shw", "--", "--json")
    assert (result.exit_code, result.stderr.startswith("Usage: ")) == (REFUSED, True)
