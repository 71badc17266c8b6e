"""The text of a re-pinned manifest, with generated manifests (spec 6.5)."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from adapters.ecosystems import pyproject, uv_lock
from core.errors import Refused
from core.ports import Dependency, Origin, Pin
from core.registry import Sha

OTHERS = ["rich>=13", "click", "Other.Lib[x,y] == 2.*", "attrs @ https://files.invalid/attrs.whl"]
MARKERS = ["", " ; python_version < '3.13'", " ;sys_platform == 'linux' and extra != 'x'"]
REFERENCES = ["", " @ git+https://git.invalid/widgetry@release", " @ file:///srv/widgetry", ">=1.0,<2", " == 1.0"]
SOURCES = [
    "",
    """
[tool.uv.sources]
# why
widgetry = { git = "https://git.invalid/w", branch = "release" }
rich = { path = "../rich" }
""",
    """
[tool.uv]
sources = { Widgetry = { path = "../w" }, rich = { path = "../r" } } # both
""",
    """
[tool.uv.sources.widgetry]
git = "https://git.invalid/w"

[tool.ruff]
line-length = 100 # wide
""",
    """
[tool.uv]
package = false

[tool.ruff]
fix = true

[tool.uv.sources]
widgetry = [{ git = "x", marker = "a" }]
""",
]


def pin(name: str, version: str = "", *, commit: Sha | None = None) -> Pin:
    return Pin(name, "pypi", name, version, commit)


def repinned(manifest: bytes, pins: list[Pin]) -> bytes:
    files = {"pyproject.toml": manifest}
    return {**files, **pyproject.repinned(files, pins)}["pyproject.toml"]


def dependencies(manifest: bytes, lock: bytes = b"") -> tuple[Dependency, ...]:
    return pyproject.dependencies({"pyproject.toml": manifest, "uv.lock": lock})


def locked(lock: str, origin: Origin) -> list[str]:
    """What is exact of each entry that comes from `origin`."""
    return [one.exact for one in uv_lock.entries(lock.encode()) if one.origin is origin]


def declared(manifest: str) -> list[str]:
    return tomllib.loads(manifest)["project"]["dependencies"]


def without_widgetry(document: dict[str, Any]) -> dict[str, Any]:
    """`document` without what a re-pin may touch, and without the tables that this leaves empty."""
    document["project"]["dependencies"] = [
        text for text in document["project"]["dependencies"] if not text.lower().startswith("widgetry")
    ]
    uv = document.get("tool", {}).get("uv", {})
    for key in [key for key in uv.get("sources", {}) if key.lower() == "widgetry"]:
        del uv["sources"][key]
    for parent, key in ((uv, "sources"), (document.get("tool", {}), "uv"), (document, "tool")):
        if not parent.get(key, True):
            del parent[key]
    return document


@st.composite
def manifests(draw: st.DrawFn) -> tuple[str, str]:
    """A manifest with comments and odd formatting, and the marker of its `widgetry`."""
    quote = draw(st.sampled_from(['"', "'"]))
    marker = draw(st.sampled_from(MARKERS))
    if quote == "'":
        marker = marker.replace("'", '"')
    name = draw(st.sampled_from(["widgetry", "Widgetry", "WIDGETRY"])) + draw(
        st.sampled_from(["", "[fast]", " [a, b]"])
    )
    ours = quote + name + draw(st.sampled_from(REFERENCES)) + marker + quote
    items = [f'"{other}"' for other in draw(st.lists(st.sampled_from(OTHERS), unique=True))]
    items.insert(draw(st.integers(0, len(items))), ours)
    gap = draw(st.sampled_from([" ", "\n  ", "\n\t", "  # a comment, with a comma\n    "]))
    comma = draw(st.sampled_from([",", " ,"]))
    end = draw(st.sampled_from(["", ",", "\n", ",  # the last\n"]))
    listed = f"[{'' if gap[0] == ' ' else gap}{f'{comma}{gap}'.join(items)}{end}]"
    head = draw(st.sampled_from(["", "# The hub.\n\n", '[build-system]\nrequires = [ "uv_build" ] # ours\n\n']))
    sources = draw(st.sampled_from(SOURCES))
    return f'{head}[project]\nname = "hub"   # us\nversion= "0"\ndependencies = {listed}\n{sources}', marker.strip("; ")


@given(manifests(), st.sampled_from(["1.2.0", "2.0.0rc1"]))
def test_a_repin_is_idempotent_and_keeps_name_extras_and_marker(given_: tuple[str, str], version: str):
    text, marker = given_
    once = repinned(text.encode(), [pin("widgetry", version)])
    assert repinned(once, [pin("widgetry", version)]) == once
    for old, new in zip(declared(text), declared(once.decode()), strict=True):
        was, now = Requirement(old), Requirement(new)
        if was.name.lower() != "widgetry":
            assert old == new
            continue
        assert (now.name, now.extras, now.marker) == (was.name, was.extras, was.marker)
        assert (str(now.specifier), now.url) == (f"=={version}", None)
        assert new.endswith(marker)


@given(manifests())
def test_a_repin_touches_only_the_dependency_and_its_source(given_: tuple[str, str]):
    before = tomllib.loads(given_[0])
    after = tomllib.loads(repinned(given_[0].encode(), [pin("widgetry", "1.2.0")]).decode())
    assert "widgetry" not in str(after.get("tool", {})).lower()
    assert without_widgetry(after) == without_widgetry(before)


@given(manifests())
def test_comments_and_formatting_stay_to_the_letter(given_: tuple[str, str]):
    text, _ = given_
    lines = repinned(text.encode(), [pin("widgetry", "1.2.0")]).decode().splitlines(keepends=True)
    touched = [line for line in text.splitlines(keepends=True) if line not in lines]
    assert all("widgetry" in line.lower() or line.startswith('git = "') for line in touched)
    assert text.count("#") == sum(line.count("#") for line in lines)


@given(manifests())
def test_a_pinned_dependency_is_no_reference_any_more(given_: tuple[str, str]):
    after = repinned(given_[0].encode(), [pin("widgetry", "1.2.0")])
    [found] = [one for one in dependencies(after, b"") if one.name == "widgetry"]
    assert not found.by_reference


@pytest.mark.parametrize(
    ("requirement", "source", "by_reference"),
    [
        ("widgetry", 'widgetry = { git = "x" }', True),
        ("widgetry", 'Widgetry = { path = "x" }', True),
        ("widgetry", "widgetry = { workspace = true }", True),
        ("widgetry", 'widgetry = [{ index = "a" }, { url = "x" }]', True),
        ("widgetry @ git+https://git.invalid/w@release", "", True),
        ("widgetry==1.0", "", False),
        ("widgetry==1.0", 'widgetry = { index = "internal" }', False),
        ("widgetry==1.0", 'other = { git = "x" }', False),
    ],
)
def test_a_branch_a_path_and_a_url_are_references_and_a_version_is_not(
    requirement: str, source: str, by_reference: bool
):
    manifest = f'[project]\ndependencies = ["{requirement}"]\n[tool.uv.sources]\n{source}\n'
    assert dependencies(manifest.encode(), b"") == (Dependency("widgetry", by_reference),)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '["w"]\n[tool.uv.sources]\nW = { git = "u", branch = "b" } # why',
            '["w"]\n[tool.uv.sources]\nW = { git = "u"',
        ),
        (
            '["w"]\n[tool.uv.sources.w]\ngit = "u" # why\ntag = "t"',
            '["w"]\n[tool.uv.sources.w]\ngit = "u" # why\nrev =',
        ),
        ('["w[x] @ git+ssh://git@h/p@b#subdirectory=s ; a"]', '["w[x] @ git+ssh://git@h/p@COMMIT#subdirectory=s ; a"]'),
        ('["w @ git+file:///p"]', '["w @ git+file:///p@COMMIT"]'),
    ],
)
def test_a_pin_to_a_commit_keeps_where_the_repository_is(before: str, after: str):
    before = before.replace(" ; a", " ; python_version > '3'")
    commit, pins = "a" * 40, [pin("w", commit=Sha("a" * 40))]
    once = repinned(f"[project]\ndependencies = {before}\n".encode(), pins)
    wanted = after.replace("COMMIT", commit).replace(" ; a", " ; python_version > '3'")
    assert once.decode().startswith(f"[project]\ndependencies = {wanted}")
    assert "branch" not in once.decode() and "tag =" not in once.decode()
    assert once.decode().count(commit) == 1
    assert once.decode().count("#") == before.count("#")
    assert repinned(once, pins) == once
    assert [one.by_reference for one in dependencies(once, b"")] == [True]


def test_every_alternative_of_a_source_gets_the_commit():
    sources = '[{ git = "u", branch = "b", marker = "x" }, { git = "v", rev = "c", marker = "y" }]'
    text = f'[project]\ndependencies = ["w"]\n[tool.uv.sources]\nw = {sources}\n'
    after = tomllib.loads(repinned(text.encode(), [pin("w", commit=Sha("a" * 40))]).decode())
    assert after["tool"]["uv"]["sources"]["w"] == [
        {"git": "u", "marker": "x", "rev": "a" * 40},
        {"git": "v", "marker": "y", "rev": "a" * 40},
    ]


@pytest.mark.parametrize(
    "text", ['["w"]\n[tool.uv.sources]\nw = { path = "../w" }', '["w @ https://h/w-1.0-py3-none-any.whl"]']
)
def test_what_is_not_in_git_cannot_be_pinned_to_a_commit(text: str):
    with pytest.raises(Refused, match="QA would see another w than rides"):
        repinned(f"[project]\ndependencies = {text}\n".encode(), [pin("w", commit=Sha("a" * 40))])


def test_every_missing_dependency_is_named_at_once():
    with pytest.raises(Refused) as refusal:
        repinned(b'[project]\ndependencies = ["rich"]\n', [pin("a", "1"), pin("b", "1"), pin("rich", "1")])
    assert [reason.what for reason in refusal.value.reasons] == ["a cannot be pinned", "b cannot be pinned"]


@pytest.mark.parametrize("text", [b"[project", b'[project]\ndependencies = ["???"]\n', b"\xff"])
def test_a_manifest_that_cannot_be_read_is_refused_and_never_taken_for_empty(text: bytes):
    with pytest.raises(Refused):
        dependencies(text, b"")


LOCK = """\
version = 1
[[package]]
name = "widgetry"
version = "1.2.0"
source = {{ {source} }}
{more}
"""


@pytest.mark.parametrize(
    "source", ['git = "https://git.invalid/w?rev=release#abc"', 'editable = "../w"', 'path = "w.whl"']
)
def test_only_what_comes_from_the_registry_counts_as_locked(source: str):
    registry = LOCK.format(source='registry = "http://127.0.0.1:1/simple/"', more="")
    assert locked(registry, Origin.REGISTRY) == ["1.2.0"]
    assert locked(LOCK.format(source=source, more=""), Origin.REGISTRY) == []


def test_only_what_comes_from_git_counts_as_locked_to_a_commit():
    sources = ('git = "https://git.invalid/w?rev=release#abc"', 'registry = "x"', 'path = "w.whl"')
    assert [locked(LOCK.format(source=one, more=""), Origin.GIT) for one in sources] == [["abc"], [], []]


@pytest.mark.parametrize("source", ['registry = "http://127.0.0.1:1/simple/"', 'git = "x"'])
def test_a_name_that_is_locked_twice_is_there_twice(source: str):
    second = f'[[package]]\nname = "widgetry"\nversion = "1.1.0"\nsource = {{ {source} }}\n'
    lock = LOCK.format(source='registry = "http://127.0.0.1:1/simple/"', more=second)
    assert [one.name for one in uv_lock.entries(lock.encode())] == ["widgetry", "widgetry"]


def test_a_lock_that_cannot_be_read_is_refused():
    with pytest.raises(Refused):
        uv_lock.entries(b"[[package")


# ── the lock decides, wherever a package is named ──────────────────────────────────────────────────────────────────

GIT = """
[tool.uv.sources]
widgetry = { git = "https://git.invalid/w", branch = "release" }
"""
HEAD = '[project]\nname = "hub"\nversion = "0"\ndependencies = ["rich>=13"]\n'
SECTIONS = {
    "extra": '[project.optional-dependencies]\nui = ["click", "Widgetry[x]>=1 ; python_version > \'3\'"]\n',
    "group": '[dependency-groups]\ndev = ["widgetry"]\nall = [{ include-group = "dev" }, "click"]\n',
    "development": '[tool.uv]\ndev-dependencies = ["widgetry>=1"]\n',
    "override": '[tool.uv]\noverride-dependencies = ["widgetry>=1"]\n',
    "url in an extra": '[project.optional-dependencies]\nui = ["widgetry @ git+https://git.invalid/w@release"]\n',
}


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS.keys())
def test_a_branch_is_found_and_pinned_in_every_section(section: str) -> None:
    """A package taken from a branch in an extra shipped unpinned, all green."""
    manifest = HEAD + section + GIT
    found = {one.name: one.by_reference for one in dependencies(manifest.encode(), b"")}
    assert found["widgetry"] is True and found["rich"] is False
    made = repinned(manifest.encode(), [pin("widgetry", "1.1.0")]).decode()
    pinned = [line for line in made.splitlines() if "==1.1.0" in line]
    assert len(pinned) == 1 and "git" not in made.replace("git.invalid", "")
    after = {one.name: one.by_reference for one in dependencies(made.encode(), b"")}
    assert after == {**found, "widgetry": False}
    commit = repinned(manifest.encode(), [pin("widgetry", commit=Sha("a" * 40))]).decode()
    assert "a" * 40 in commit


@pytest.mark.parametrize(
    ("source", "by_reference"),
    [
        ('registry = "https://pypi.org/simple"', False),
        ('git = "https://git.invalid/w?branch=release#' + "a" * 40 + '"', True),
        ('path = "../w"', True),
        ('directory = "../w"', True),
        ('editable = "packages/w"', True),
        ('virtual = "packages/w"', True),
        ('url = "https://files.invalid/w-1.0.tar.gz"', True),
        ('editable = "."', False),
        ('registry = "../wheels"', True),
        ('registry = "file:///srv/wheels"', True),
    ],
)
def test_what_only_the_lock_takes_from_elsewhere_is_found_and_refused_where_nothing_names_it(
    source: str, by_reference: bool
) -> None:
    """A workspace member had the branch, and production locked another commit than the one published."""
    lock = f'version = 1\n[[package]]\nname = "widgetry"\nversion = "1.0"\nsource = {{ {source} }}\n'
    found = {one.name: one.by_reference for one in dependencies(HEAD.encode(), lock.encode())}
    assert found.get("widgetry", False) is by_reference
    with pytest.raises(Refused, match="widgetry cannot be pinned"):
        repinned(HEAD.encode(), [pin("widgetry", "1.1.0")])


def test_one_fork_from_a_branch_is_a_branch() -> None:
    held = 'version = "1.0"\nsource = { registry = "https://pypi.org/simple" }\n'
    git = 'version = "1.0"\nsource = { git = "https://git.invalid/w#' + "a" * 40 + '" }\n'
    lock = "".join(f'[[package]]\nname = "widgetry"\n{one}' for one in (held, git))
    assert dependencies(HEAD.encode(), lock.encode())[-1] == Dependency("widgetry", by_reference=True)


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ('{ index = "corp" }', '{ index = "corp" }'),
        ('[{ index = "corp", marker = "a" }, { git = "x", marker = "b" }]', '[{ index = "corp", marker = "a" }]'),
    ],
)
def test_where_a_published_version_comes_from_is_kept(source: str, left: str) -> None:
    """The pin deleted the entry, and the package came from the default index."""
    text = HEAD.replace('"rich>=13"', '"widgetry"') + "\n[tool.uv.sources]\nwidgetry = "
    made = repinned((text + source + "\n").encode(), [pin("widgetry", "1.1.0")]).decode()
    kept = tomllib.loads(made)["tool"]["uv"]["sources"]["widgetry"]
    assert kept == tomllib.loads(f"x = {left}")["x"]


@pytest.mark.parametrize("limit", ["widgetry<1.1", "Widgetry == 1.0.*", "widgetry!=1.1.0"])
def test_a_constraint_that_forbids_what_rides_is_refused_in_the_plan(limit: str) -> None:
    text = HEAD.replace('"rich>=13"', '"widgetry"') + f'\n[tool.uv]\nconstraint-dependencies = ["{limit}"]\n'
    with pytest.raises(Refused, match="is forbidden"):
        repinned(text.encode(), [pin("widgetry", "1.1.0")])
    assert b"==2.0" in repinned(text.replace(limit, "widgetry<3").encode(), [pin("widgetry", "2.0")])


@pytest.mark.parametrize("until", ['"7 days"', '"2026-01-01T00:00:00Z"', '"P7D"'])
def test_a_cooldown_is_found_before_anything_is_public_with_the_line_that_exempts(until: str) -> None:
    """QA was green, both packages went out, then "resume in a few minutes", for seven days."""
    text = HEAD.replace('"rich>=13"', '"widgetry"') + GIT + f"[tool.uv]\nexclude-newer = {until}\n"
    for one in (pin("widgetry", "1.1.0"), pin("widgetry", commit=Sha("a" * 40))):
        with pytest.raises(Refused) as refused:
            repinned(text.encode(), [one])
        assert "exclude-newer-package = { widgetry = false }" in refused.value.reasons[0].next
        exempt = text + "exclude-newer-package = { Widgetry = false }\n"
        assert repinned(exempt.encode(), [one])


# ── workspaces ─────────────────────────────────────────────────────────────────────────────────────────────────────

ROOT = HEAD + '[tool.uv.workspace]\nmembers = ["libs/*", "apps/web"]\nexclude = ["libs/old"]\n'
MEMBER = '[project]\nname = "m"\nversion = "0"\ndependencies = ["widgetry"]\n'


@pytest.mark.parametrize("at_root", [True, False])
def test_a_branch_in_a_member_of_the_workspace_is_found_and_pinned_there(at_root: bool) -> None:
    files = {
        "pyproject.toml": (ROOT + (GIT if at_root else "")).encode(),
        "libs/a/pyproject.toml": (MEMBER + ("" if at_root else GIT)).encode(),
        "apps/web/pyproject.toml": MEMBER.encode(),
        "libs/old/pyproject.toml": MEMBER.encode(),
        "tests/data/pyproject.toml": b"no toml at all",
    }
    assert {one.name: one.by_reference for one in pyproject.dependencies(files)} == {"rich": False, "widgetry": True}
    made = pyproject.repinned(files, [pin("widgetry", "1.1.0")])
    members = {"libs/a/pyproject.toml", "apps/web/pyproject.toml"}
    assert made.keys() == members | ({"pyproject.toml"} if at_root else set())
    assert all(b"widgetry==1.1.0" in made[path] for path in members)
    assert all(b"git" not in text for text in made.values())


@pytest.mark.parametrize(
    ("glob", "folder", "fits"),
    [
        ("libs/*", "libs/a", True),
        ("libs/*", "libs/a/b", False),
        ("libs/**", "libs/a/b", True),
        ("**/svc", "a/b/svc", True),
        ("**/svc", "svc", True),
        ("libs/?", "libs/ab", False),
        ("libs/[!a]", "libs/b", True),
        ("./libs/a/", "libs/a", True),
        ("lib.s", "libxs", False),
    ],
)
def test_a_glob_of_a_workspace_is_read_as_uv_reads_it(glob: str, folder: str, fits: bool) -> None:
    root = f'[tool.uv.workspace]\nmembers = ["{glob}"]\n'
    files = {"pyproject.toml": root.encode(), f"{folder}/pyproject.toml": MEMBER.encode()}
    assert bool(pyproject.dependencies(files)) is fits


@pytest.mark.parametrize("text", ['name = "café"\r\n', "# ☕\r\n"])
def test_line_ends_and_a_mark_of_the_encoding_stay(text: str) -> None:
    before = b"\xef\xbb\xbf" + f'[project]\r\n{text}dependencies = [\r\n  "widgetry", # x\r\n]\r\n'.encode()
    assert repinned(before, [pin("widgetry", "1.0")]) == before.replace(b'"widgetry"', b'"widgetry==1.0"')


def test_a_manifest_in_another_encoding_is_refused_in_words() -> None:
    with pytest.raises(Refused, match=r"pyproject\.toml cannot be read"):
        dependencies('[project]\nname = "café"\n'.encode("latin-1"))


@pytest.mark.parametrize(
    ("settings", "fits"),
    [
        ('exclude-newer = "7 days"', False),
        ('exclude-newer = "7 days"\nexclude-newer-package = { widgetry = "0 days" }', True),
        ('exclude-newer = "7 days"\nexclude-newer-package = { widgetry = "PT0S" }', True),
        ('exclude-newer-package = { widgetry = "7 days" }', False),
        ('exclude-newer-package = { rich = "7 days" }', True),
        ("no-index = true", False),
        ("no-index = false", True),
    ],
)
@pytest.mark.parametrize("path", ["pyproject.toml", "uv.toml"])
def test_every_policy_that_keeps_what_is_new_out_is_found(path: str, settings: str, fits: bool) -> None:
    head = HEAD.replace('"rich>=13"', '"widgetry"')
    files = {"pyproject.toml": head.encode()}
    files[path] = files.get(path, b"") + (f"[tool.uv]\n{settings}\n" if path in files else settings).encode()
    if fits:
        assert pyproject.repinned(files, [pin("widgetry", "1.1.0")])
    else:
        with pytest.raises(Refused, match=f"the policy of .*{path} keeps"):
            pyproject.repinned(files, [pin("widgetry", "1.1.0")])


def test_a_policy_of_a_member_and_one_beside_a_uv_toml_do_not_count_as_uv_reads_them() -> None:
    late = '\n[tool.uv]\nexclude-newer = "7 days"\n'
    member = {"pyproject.toml": ROOT.encode(), "libs/a/pyproject.toml": (MEMBER + late).encode()}
    beside = {"pyproject.toml": (MEMBER + late).encode(), "uv.toml": b"offline = false\n"}
    assert all(pyproject.repinned(files, [pin("widgetry", "1.1.0")]) for files in (member, beside))
