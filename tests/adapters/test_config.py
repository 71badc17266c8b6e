"""The shipped examples load; everything wrong in any of the files is refused at once, with file, line and key."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as some

from adapters.config import Settings, config_folder, load
from adapters.config_files import Page
from adapters.yaml_file import DEEPEST, LARGEST_BYTES, Value
from core.errors import Reason, Refused
from core.permissions import Role

EXAMPLES = Path(__file__).parents[2] / "config"
FILES = ("release_repos.yml", "bot.yml", "devops_test_suites.yml", "feature_shapes.yml")
Edit = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped examples, to be spoiled."""
    return Path(shutil.copytree(EXAMPLES, tmp_path / "config"))


@pytest.fixture
def edit(folder: Path) -> Edit:
    """Replaces a text that a file has exactly once."""

    def replace(name: str, old: str, new: str) -> Path:
        text = (folder / name).read_text()
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {name}"
        (folder / name).write_text(text.replace(old, new))
        return folder

    return replace


def refused(folder: Path, environ: Mapping[str, str] | None = None) -> tuple[Reason, ...]:
    """The reasons why `folder` does not load."""
    with pytest.raises(Refused) as refusal:
        load(folder, environ or {})
    return refusal.value.reasons


def line_of(path: Path, text: str) -> int:
    """The number of the first line that contains `text`."""
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


# ── what loads ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_shipped_examples_load_as_they_stand() -> None:
    loaded = load(EXAMPLES, {})
    assert list(loaded.registry.packages) == ["money-core", "money-ledger"]
    assert [name for name, app in loaded.registry.apps.items() if app.hub] == ["treasury"]
    assert loaded.registry.app("treasury").test_cmd == ("bin/test", "--all")
    assert loaded.registry.app("statements").main_branch == "trunk"
    assert loaded.registry.packages["money-ledger"].tag_for("2.0.0") == "ledger-v2.0.0"
    assert loaded.suites["treasury"].pages[0] == Page(path="/", contains="Treasury")
    assert loaded.tiers["money-flow"] == ("unit", "integration", "e2e")
    assert {name for name, _ in loaded.bot.discord.role_ids} == set(Role)
    assert loaded.bot.discord.token_env == "DISCORD_TOKEN"
    assert loaded.waits.lock_tries == 6 and loaded.satellites_at_once == 1


def test_what_the_comments_of_the_examples_offer_loads_too(edit: Edit) -> None:
    edit("bot.yml", "  # discord_api:", "  discord_api:")
    edit("release_repos.yml", "# ecosystems:\n#   pypi:", "ecosystems:\n  pypi:")
    loaded = load(edit("release_repos.yml", "#   rubygems:", "  rubygems:"), {})
    assert loaded.bot.discord.discord_api == "http://127.0.0.1:8090"
    assert loaded.pypi.publish_url == "https://packages.example.com/legacy/"
    assert (loaded.rubygems.host, loaded.rubygems.mirror) == ("https://gems.example.com", True)


def test_options_of_a_target_are_what_the_strategy_s_own_model_makes_of_them() -> None:
    target = load(EXAMPLES, {}).registry.app("invoices").prod_deploy
    assert target and target.options["script"] == ("./bin/deploy",) and "timeout_seconds" in target.options


def test_the_environment_says_where_things_are(folder: Path) -> None:
    assert config_folder({"STATIONMASTER_CONFIG": "/etc/train"}) == Path("/etc/train")
    assert config_folder({}) == Path("config")
    default = load(folder, {})
    assert default.state_dir == folder.parent / "var"
    assert default.database_url == f"sqlite:///{folder.parent}/var/stationmaster.db"
    told = load(folder, {"STATIONMASTER_STATE": "/srv/train", "STATIONMASTER_DATABASE_URL": "postgresql://db/train"})
    assert (told.state_dir, told.database_url) == (Path("/srv/train"), "postgresql://db/train")


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("treasury", "/home/projects/treasury"),
        ("../other/treasury.git", "/home/other/treasury.git"),
        ("/srv/git/treasury.git", "/srv/git/treasury.git"),
        ("https://git.example.com/treasury.git", "https://git.example.com/treasury.git"),
        ("git@git.example.com:treasury.git", "git@git.example.com:treasury.git"),
    ],
)
def test_relative_repository_paths_resolve_against_the_projects_folder(edit: Edit, url: str, resolved: str) -> None:
    folder = edit("release_repos.yml", "git@github.com:example-money/treasury.git", url)
    assert load(folder, {"PROJECTS_DIR": "/home/projects"}).registry.app("treasury").url == resolved


def test_one_repository_behind_a_link_is_one_repository(edit: Edit, tmp_path: Path) -> None:
    (tmp_path / "money.git").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path)
    edit("release_repos.yml", "git@github.com:example-money/treasury.git", f"{tmp_path}/money.git")
    folder = edit("release_repos.yml", "git@github.com:example-money/invoices.git", "linked/money.git")
    with pytest.raises(Refused, match="treasury and invoices are one repository"):
        load(folder, {"PROJECTS_DIR": str(tmp_path)})


def test_a_revision_that_nobody_can_ask_for_is_refused_when_the_file_is_read(edit: Edit) -> None:
    found = refused(edit("release_repos.yml", "smoke_url: https://invoices.example.com", "revision_path: /revision"))
    assert [reason.what.rpartition(": ")[2] for reason in found] == ["revision_path has no smoke_url"]


def test_a_relative_path_without_a_projects_folder_says_which_variable_to_set(edit: Edit) -> None:
    (reason,) = refused(edit("release_repos.yml", "git@github.com:example-money/treasury.git", "treasury"))
    assert "apps.treasury.url" in reason.what and "PROJECTS_DIR" in reason.next


def test_commands_are_split_like_a_shell_would_or_given_as_words(edit: Edit) -> None:
    folder = edit("release_repos.yml", "test_cmd: bin/test --all  ", "test_cmd: bin/test 'two words' a\\ b  ")
    edit("release_repos.yml", "release_check: make check  ", "release_check: [make, 'a $HOME && b']  ")
    registry = load(folder, {}).registry
    assert registry.app("treasury").test_cmd == ("bin/test", "two words", "a b")
    assert registry.packages["money-core"].release_check == ("make", "a $HOME && b")


def test_a_byte_order_mark_does_not_matter(folder: Path) -> None:
    path = folder / "bot.yml"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load(folder, {}).bot == load(EXAMPLES, {}).bot


# ── what does not ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_everything_wrong_in_every_file_comes_at_once(edit: Edit) -> None:
    edit("release_repos.yml", "options: {app: example-treasury}", "options: {ap: example-treasury}")
    edit("release_repos.yml", "    hub: true\n", "    hub: yes\n")
    edit("release_repos.yml", '    emoji: "🧾"', "    hub: true\n    production_url: https://other.example.com")
    edit("bot.yml", "lock_tries", "lock_tris")
    edit("devops_test_suites.yml", "  statements:", "  statemnts:")
    folder = edit("feature_shapes.yml", "[unit, component]", "[unit, componet]")
    found = [str(reason) for reason in refused(folder)]
    for expected in (
        r"release_repos.yml:\d+: apps.treasury.prod_deploy.options: needs app",
        r"release_repos.yml:\d+: apps.treasury.prod_deploy.options.ap: unknown key.*did you mean app\?",
        r"release_repos.yml:\d+: apps.treasury.hub: must be a valid boolean — write true or false",
        r"release_repos.yml: invoices has two production addresses",
        r"bot.yml:\d+: train.waits.lock_tris: unknown key.*did you mean lock_tries\?",
        r"devops_test_suites.yml:\d+: suites.statemnts: no such app.*did you mean statements\?",
        r"feature_shapes.yml:\d+: shapes.screen\[1\]: is not one of unit, .*did you mean component\?",
    ):
        assert any(re.search(expected, one) for one in found), (expected, found)
    assert len(found) == 7


def test_a_problem_names_the_line_it_is_on(edit: Edit) -> None:
    folder = edit("release_repos.yml", "strategy: repo_script  ", "strategy: repo_scrpt  ")
    (reason,) = refused(folder)
    line = line_of(folder / "release_repos.yml", "repo_scrpt")
    assert reason.what.startswith(f"{folder}/release_repos.yml:{line}: apps.invoices.prod_deploy.strategy: ")
    assert reason.next == "you wrote 'repo_scrpt': did you mean repo_script?"


@pytest.mark.parametrize(
    ("name", "old", "new", "what"),
    [
        ("release_repos.yml", "smoke_url: https://invoices", "smok_url: https://invoices", "did you mean smoke_url?"),
        ("release_repos.yml", "version_file: pyproject.toml", "versionfile: x", "did you mean version_file?"),
        ("release_repos.yml", "{script: bin/deploy}", "{scrip: bin/deploy}", "did you mean script?"),
        ("release_repos.yml", "packages:\n", "pakages:\n", "did you mean packages?"),
        ("bot.yml", "channel_id:", "chanel_id:", "did you mean channel_id?"),
        ("bot.yml", "    reviewer: ", "    reviever: ", "did you mean reviewer?"),
        ("bot.yml", "satellites_at_once", "satelites_at_once", "did you mean satellites_at_once?"),
        ("bot.yml", "port: 8484", "prot: 8484", "did you mean port?"),
        ("devops_test_suites.yml", "removed:", "remved:", "did you mean removed?"),
        ("devops_test_suites.yml", "contains: Invoices", "contain: Invoices", "did you mean contains?"),
        ("feature_shapes.yml", "shapes:\n", "shape:\n", "did you mean shapes?"),
        ("feature_shapes.yml", "quorum:", "quorm:", "did you mean quorum?"),
    ],
)
def test_an_unknown_key_anywhere_gives_the_nearest_known_one(
    edit: Edit, name: str, old: str, new: str, what: str
) -> None:
    reasons = refused(edit(name, old, new))
    assert any("unknown key" in reason.what and reason.next.endswith(what) for reason in reasons), reasons
    assert all(name in reason.what or "devops_test_suites" in reason.what for reason in reasons)


@pytest.mark.parametrize(
    ("name", "old", "new", "what"),
    [
        ("release_repos.yml", "ecosystem: pypi  ", "ecosystem: pipy  ", "did you mean pypi?"),
        ("feature_shapes.yml", "[heavy, light]", "[heavy, ligt]", "did you mean light?"),
        ("feature_shapes.yml", "[heavy, light]", "[]", "must not be empty"),
        ("release_repos.yml", "release_branch: train", "release_branch: -train", "is no branch name"),
        ("release_repos.yml", "release_branch: train", "release_branch: 1.10", "must be a valid string, not 1.1"),
        (
            "release_repos.yml",
            "url: git@github.com:example-money/treasury.git",
            "url: --upload-pack=x",
            "like an option",
        ),
        ("release_repos.yml", "url: git@github.com:example-money/treasury.git", "url: ''", "is no repository"),
        ("release_repos.yml", "  money-core:\n", "  Money_Core:\n", "is no slug"),
        ("release_repos.yml", "version_file: pyproject.toml", "version_file: ../x", "below the repository's root"),
        ("release_repos.yml", "tag: ledger-v{version}", "tag: 'ledger'", "must hold {version} once"),
        ("release_repos.yml", "tag: ledger-v{version}", "tag: '{version}{name}'", "must hold {version} once"),
        (
            "release_repos.yml",
            "test_cmd: bin/test --all",
            "test_cmd: bin/test 'all",
            "no closing quotation at character",
        ),
        ("release_repos.yml", "test_cmd: bin/test --all", "test_cmd: []", "must not be empty"),
        ("release_repos.yml", "release_check: make check", "release_check: 7", "must be a command"),
        (
            "release_repos.yml",
            "smoke_url: https://invoices.example.com",
            "smoke_url: invoices.example.com",
            "https://…",
        ),
        ("release_repos.yml", "revision_path: /revision", "revision_path: //evil.example.com/x", "begins with one /"),
        ("bot.yml", "guild_id: 1100", "guild_id: 01100", "without leading zeros"),
        ("bot.yml", "guild_id: 1100000000000000001", "guild_id: 12:30:45", "must be a valid integer"),
        ("bot.yml", "guild_id: 1100000000000000001", "guild_id: 0x10", "must be a valid integer"),
        ("bot.yml", "port: 8484", "port: 0", "greater than or equal to 1"),
        ("bot.yml", "host: 127.0.0.1 ", "host: http://127.0.0.1 ", "name or address of an interface"),
        ("bot.yml", "gate_seconds: 3600", "gate_seconds: 0", "must be greater than 0"),
        ("bot.yml", "gate_seconds: 3600", "gate_seconds: .inf", "must be a valid number"),
        ("bot.yml", "# discord_api: http://127.0.0.1:8090", "discord_api: http://127.0.0.1.evil.com", "loopback"),
        ("bot.yml", "# discord_api: http://127.0.0.1:8090", "discord_api: http://127.0.0.1:1@evil.com", "name or pass"),
        ("devops_test_suites.yml", "path: /accounts", "path: accounts", "begins with one /"),
    ],
)
def test_a_wrong_value_is_refused_and_not_bent(edit: Edit, name: str, old: str, new: str, what: str) -> None:
    reasons = refused(edit(name, old, new))
    assert any(name in reason.what and what in str(reason) for reason in reasons), reasons


@pytest.mark.parametrize("host", ["http://localhost:1", "http://127.9.9.9:1", "http://[::1]:1/"])
def test_a_discord_of_your_own_may_be_on_this_machine(edit: Edit, host: str) -> None:
    folder = edit("bot.yml", "# discord_api: http://127.0.0.1:8090", f"discord_api: {host}")
    assert load(folder, {}).bot.discord.discord_api == host.rstrip("/")


def test_two_hubs_and_a_name_that_is_taken_are_refused_together(edit: Edit) -> None:
    edit("release_repos.yml", '    emoji: "🧾"', "    hub: true")
    found = [reason.what for reason in refused(edit("release_repos.yml", "  money-core:\n", "  invoices:\n"))]
    assert any("two hubs" in one for one in found) and any("a package and an app" in one for one in found)
    assert all("release_repos.yml" in one for one in found)


def test_two_production_addresses_that_are_one_do_not_disagree(edit: Edit) -> None:
    folder = edit("release_repos.yml", '    emoji: "🧾"', "    production_url: https://invoices.example.com/")
    assert load(folder, {}).registry.app("invoices").base_url == "https://invoices.example.com"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("      smoke_url: https://treasury-qa.example.com", "apps.treasury.qa_deploy"),
        ("      smoke_url: https://treasury.example.com", "apps.treasury.prod_deploy"),
    ],
)
def test_a_push_without_an_address_to_look_at_is_refused_when_the_file_is_read(
    edit: Edit, url: str, place: str
) -> None:
    """main had advanced before it was found that nobody could tell whether the new code serves."""
    [reason] = refused(edit("release_repos.yml", url, "      # none"))
    assert place in reason.what
    assert "smoke_url is missing" in reason.what


def test_the_name_on_pypi_is_one_name_however_it_is_spelled(edit: Edit) -> None:
    """A consumer that wrote it as PEP 503 does was not re-pinned."""
    folder = edit("release_repos.yml", "published_as: example-money-ledger ", "published_as: Example_Money.Ledger ")
    package = next(one for one in load(folder, {}).registry.packages.values() if "ledger" in one.distribution.lower())
    assert package.distribution == "example-money-ledger"


# ── files that are no files, YAML that is no YAML ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "is missing"),
        (b"", "is empty"),
        (b"# nothing but a comment\n", "is empty"),
        (b"- a\n- b\n", "is not a mapping"),
        (b"just words", "is not a mapping"),
        (b"a: caf\xe9\n", "is not UTF-8 at byte 6"),
        ("a: b\n".encode("utf-16"), "is not UTF-8 at byte 0"),
        (b"a: 1\nb: [1, 2\nc: 3\n", ":3: malformed YAML at column 2"),
        (b"a: b: c\n", ":1: malformed YAML at column 5"),
        (b"a: 1\n\tb: 2\n", ":2: malformed YAML at column 1"),
        (b"a: 1\n---\nb: 2\n", ":2: malformed YAML at column 1"),
        (b'a: "\\UFFFFFFFF"\n', "malformed YAML"),
        (b"a: \x07\n", "malformed YAML"),
        (b"a: &x [1]\nb: *x\n", ":2: malformed YAML at column 4: aliases are not read here"),
        (b"a: &x [*x]\n", "aliases are not read here"),
        (b"a: " + b"[" * 500, f"nested deeper than {DEEPEST} levels"),
        (b"a: " + b"x" * LARGEST_BYTES, "is larger than 256 KiB"),
        (b"a: !!python/object/apply:os.system [ls]\n", ":1: a: has a tag"),
        (b"a: 1\nb: 2\na: 3\n", ":1: a: appears twice, again on line 3"),
        (b"? [a]\n: 1\n", "has a key that is not text"),
        (b'a: "\\u0000"\n', ":1: a: holds a character that cannot be printed"),
        (b'a: "\\ud800"\n', ":1: a: holds a character that cannot be printed"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_where(
    folder: Path, name: str, content: bytes | None, what: str
) -> None:
    path = folder / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    found = [reason.what for reason in refused(folder)]
    assert any(one.startswith(str(path)) and what in one for one in found), found


def test_a_folder_in_the_place_of_a_file_is_refused(folder: Path) -> None:
    (folder / "bot.yml").unlink()
    (folder / "bot.yml").mkdir()
    assert "cannot be read" in refused(folder)[0].what


def test_one_broken_file_hides_no_problem_of_another(edit: Edit, folder: Path) -> None:
    (folder / "bot.yml").write_text("discord: [\n")
    found = [reason.what for reason in refused(edit("devops_test_suites.yml", "  statements:", "  statemnts:"))]
    assert len(found) == 2 and "bot.yml" in found[0] and "devops_test_suites.yml" in found[1]


# ── secrets ────────────────────────────────────────────────────────────────────────────────────────────────────────

SECRET = "hunter2-hunter2"
DATABASE_SECRET = "correct-horse"


def test_no_secret_is_seen_in_settings_or_errors(edit: Edit, folder: Path) -> None:
    environ = {
        "DISCORD_TOKEN": SECRET,
        "STATIONMASTER_TOKEN": f"{SECRET}-builder",
        "HEROKU_API_KEY": f"{SECRET}-heroku",
        "STATIONMASTER_DATABASE_URL": f"postgresql://train:{DATABASE_SECRET}%40db@db.example.com/train",
    }
    loaded = load(folder, environ)
    shown = f"{loaded!r} {loaded} {loaded.bot} {loaded.secrets}"
    assert "hunter2" not in shown and "correct-horse" not in shown
    assert loaded.secrets.reveal("DISCORD_TOKEN") == SECRET
    for text in (
        f"password {DATABASE_SECRET}@db is wrong",
        f"at postgresql://train:{DATABASE_SECRET}%40db@db.example.com",
    ):
        assert "correct-horse" not in loaded.secrets.mask(text)
    edit("bot.yml", "token_env: DISCORD_TOKEN", f"token_env: {SECRET}")
    edit("bot.yml", "  satellites_at_once: 1", f"  {SECRET}: {SECRET}")
    edit("release_repos.yml", "test_cmd: bin/test --all", f"test_cmd: bin/test '{SECRET}")
    edit("release_repos.yml", "  money-core:\n", f"  {SECRET}_:\n")
    reasons = refused(folder, environ)
    assert len(reasons) >= 4 and "hunter2" not in repr(reasons)


def test_a_token_pasted_into_a_file_is_not_repeated(edit: Edit) -> None:
    edit("bot.yml", "token_env: DISCORD_TOKEN", "token_env: MTIzNDU2.secret")
    edit("bot.yml", "guild_id: 1100000000000000001", "guild_id: MTIzNDU2.secret")
    edit(
        "release_repos.yml", "git@github.com:example-money/treasury.git", "https://me:MTIzNDU2.secret@git.example.com/t"
    )
    folder = edit("release_repos.yml", "https://invoices.example.com", "https://me:MTIzNDU2.secret@x.example.com")
    reasons = refused(folder)
    assert len(reasons) == 4 and "MTIz" not in repr(reasons)
    assert sum("secrets come from the environment only" in reason.what for reason in reasons) == 2


def test_a_variable_that_options_name_is_a_secret(edit: Edit) -> None:
    new = "options: {script: bin/deploy, credentials: [INVOICES_DEPLOY_HOOK]}"
    folder = edit("release_repos.yml", "options: {script: bin/deploy}", new)
    assert load(folder, {"INVOICES_DEPLOY_HOOK": SECRET}).secrets.mask(SECRET) == "••••"


# ── whatever people do to the files ────────────────────────────────────────────────────────────────────────────────

_JUNK = some.one_of(
    some.sampled_from(["", " ", "\n", "\t", ":", "- ", "[", "]", "{", "}", "'", '"', "&a ", "*a", "!", "|", "#", "%"]),
    some.sampled_from(["null", "true", "yes", "0123", "1.10", "-x", "\\", "\x00", "\ufeff", "\ud7ff", "<<: ", "? "]),
    some.text(max_size=8),
)


@settings(max_examples=150, deadline=None)
@given(name=some.sampled_from(FILES), where=some.floats(0, 1), length=some.integers(0, 40), junk=_JUNK)
def test_a_spoiled_file_is_refused_by_its_name_and_never_crashes(
    name: str, where: float, length: int, junk: str
) -> None:
    text = (EXAMPLES / name).read_text()
    start = int(where * len(text))
    _loads_or_is_refused_by_name(name, (text[:start] + junk + text[start + length :]).encode("utf-8", "surrogatepass"))


_VALUES = some.recursive(
    some.one_of(some.none(), some.booleans(), some.integers(), some.floats(), some.text(max_size=12)),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(name=some.sampled_from(FILES), path=some.lists(some.integers(0, 9), min_size=1, max_size=6), value=_VALUES)
def test_any_value_in_the_place_of_any_other_is_taken_or_refused_by_name(
    name: str, path: list[int], value: Value
) -> None:
    document = _replaced(yaml.safe_load((EXAMPLES / name).read_text()), path, value)
    _loads_or_is_refused_by_name(name, yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"))


def _replaced(document: Value, path: list[int], value: Value) -> Value:
    """`document` with `value` at `path`, whose steps count keys and items, round and round."""
    if path and isinstance(document, dict) and document:
        key = list(document)[path[0] % len(document)]
        return {**document, key: _replaced(document[key], path[1:], value)}
    if path and isinstance(document, list) and document:
        index = path[0] % len(document)
        return [*document[:index], _replaced(document[index], path[1:], value), *document[index + 1 :]]
    return value


def _loads_or_is_refused_by_name(name: str, content: bytes) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(shutil.copytree(EXAMPLES, Path(temporary) / "config"))
        (folder / name).write_bytes(content)
        try:
            assert isinstance(load(folder, {}), Settings)
        except Refused as refusal:
            for reason in refusal.reasons:
                assert any(file in reason.what for file in FILES), reason
                str(reason).encode()
