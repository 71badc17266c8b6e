"""What a Python build became, as real backends leave it: read from the wheel and the sdist, whatever the texts say."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from adapters.credentials import Secrets
from adapters.ecosystems import unpacking, wheel
from adapters.ecosystems.pypi import PyPI, PyPISettings
from adapters.ecosystems.wheel import accepts
from adapters.process import ChildProcesses
from adapters.web import Web
from core.errors import Refused
from core.ports import Declared, Required
from core.registry import Package

SETUPTOOLS = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
HATCHLING = '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
VCS = HATCHLING.replace('"hatchling"]', '"hatchling", "hatch-vcs"]') + (
    '[project]\nname = "acme"\ndynamic = ["version"]\n[tool.hatch.version]\nsource = "vcs"\n'
)
SCM = SETUPTOOLS.replace('"setuptools"]', '"setuptools", "setuptools-scm"]') + (
    '[project]\nname = "acme"\ndynamic = ["version"]\n[tool.setuptools_scm]\n'
)
HERE = "[tool.uv]\nno-build-isolation = true\n"  # the backends of this environment, and no network
GIT = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@localhost")
POINTER = (
    "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1\nsize 12345\n"
)


def declared(files: Sequence[Path], url: str = "https://upload.pypi.org/legacy/") -> Declared:
    """What they say to who uploads them there."""
    return wheel.declared(files, url)


async def built(folder: Path, files: Mapping[str, str], *git: str) -> list[Path]:
    """What `uv build` makes of `files`, after the given `git` commands where there are some."""
    home, source, out = folder / "home", folder / "source", folder / "out"
    for path, text in files.items():
        (place := source / path).parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text + (HERE if path == "pyproject.toml" else ""))
    for words in git:
        subprocess.run((*GIT, "-C", str(source), *words.split()), check=True, capture_output=True)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    home.mkdir(exist_ok=True)
    extra = {"UV_PYTHON": sys.executable, "UV_OFFLINE": "1"}
    processes = ChildProcesses(home, Secrets({}), {"PATH": "/usr/local/bin:/usr/bin:/bin"}, extra)
    package = Package(name="acme", url="", ecosystem="pypi")
    ecosystem = PyPI(processes, Web(), PyPISettings())
    made = await ecosystem.build(package, source, out, epoch=1_700_000_000, log=folder / "log")
    return [out / one.filename for one in made]


# ── what real backends make ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_module_that_says_another_version_than_the_manifest_builds_what_the_manifest_says(tmp_path: Path):
    manifest = f'{HATCHLING}[project]\nname = "acme"\nversion = "1.4.9"\n'
    found = declared(await built(tmp_path, {"pyproject.toml": manifest, "acme/__init__.py": '__version__ = "1.5.0"\n'}))
    assert found == Declared(name="acme", version="1.4.9")


async def test_a_setup_py_says_what_it_computes_under_every_extra_and_marker(tmp_path: Path):
    setup = """\
from setuptools import setup
setup(
    name="My.Pkg",
    version="-".join(["1.0", "1"]),
    py_modules=["acme"],
    install_requires=[f"{name}>=1,<2" for name in ("Acme_Money",)] + ["colour>=1; sys_platform == 'win32'"],
    extras_require={"ui": ["acme.ledger~=1.0"], "all": ["My.Pkg[ui]"]},
)
"""
    found = declared(await built(tmp_path, {"pyproject.toml": SETUPTOOLS, "setup.py": setup, "acme.py": ""}))
    assert found == Declared(
        name="my-pkg",
        version="1.0.post1",
        requires=(
            Required("acme-ledger", "~=1.0"),
            Required("acme-money", "<2,>=1"),
            Required("colour", ">=1"),
            Required("my-pkg", ""),
        ),
    )


async def test_what_is_dynamic_in_the_manifest_is_plain_in_the_wheel(tmp_path: Path):
    dynamic = (
        '[project]\nname = "acme"\ndynamic = ["version", "dependencies"]\n[tool.setuptools]\npackages = ["acme"]\n'
        '[tool.setuptools.dynamic]\nversion = {attr = "acme.VERSION"}\ndependencies = {file = ["needs.txt"]}\n'
    )
    files = {"pyproject.toml": SETUPTOOLS + dynamic, "acme/__init__.py": 'VERSION = ".".join("05")\n'}
    found = declared(await built(tmp_path, {**files, "needs.txt": "money>=1\nledger\n"}))
    assert found == Declared(name="acme", version="0.5", requires=(Required("ledger"), Required("money", ">=1")))


@pytest.mark.parametrize("manifest", [VCS, SCM], ids=["hatch-vcs", "setuptools-scm"])
async def test_a_version_from_a_tag_is_read_and_one_without_its_tag_is_refused(tmp_path: Path, manifest: str):
    files = {"pyproject.toml": manifest, "acme/__init__.py": "", ".gitignore": "*.egg-info\n"}
    begun = ("init -q", "add .", "commit -q -m first")
    with pytest.raises(Refused, match="has a local version") as refusal:
        declared(await built(tmp_path, files, *begun))
    assert "0.1.dev1+g" in refusal.value.reasons[0].why and "tag" in refusal.value.reasons[0].next
    assert declared(await built(tmp_path, {}, "tag v1.1.0")).version == "1.1.0"
    with pytest.raises(Refused, match="has a local version"):
        declared(await built(tmp_path, {"more.py": ""}, "add .", "commit -q -m second"))


@pytest.mark.parametrize(
    ("text", "version"),
    [("01.02.0", "1.2.0"), ("1!2.0", "1!2.0"), ("1.0-rc.1", "1.0rc1"), ("1.0.dev3", "1.0.dev3"), ("v2", "2")],
)
async def test_versions_come_out_as_the_index_will_list_them(tmp_path: Path, text: str, version: str):
    manifest = (
        f'{HATCHLING}[project]\nname = "Acme__X"\nversion = "{text}"\n[tool.hatch.build]\ninclude = ["acme.py"]\n'
    )
    found = declared(await built(tmp_path, {"pyproject.toml": manifest, "acme.py": ""}))
    assert (found.name, found.version) == ("acme-x", version)


async def test_a_package_that_takes_another_from_a_branch_is_refused_wherever_the_text_hid_it(tmp_path: Path):
    manifest = (
        f'{HATCHLING}[project]\nname = "acme"\nversion = "1.0"\nauthors = [{{ name = "Zoë Ångström" }}]\n'
        'dependencies = ["money @ git+https://git.invalid/money@main"]\n'
        '[project.optional-dependencies]\nui = ["ledger @ https://git.invalid/ledger.tar.gz"]\n'
        "[tool.hatch.metadata]\nallow-direct-references = true\n"
    )
    with pytest.raises(Refused) as refusal:
        declared(await built(tmp_path, {"pyproject.toml": manifest, "acme/__init__.py": ""}))
    found = {reason.what.partition(" requires ")[2] for reason in refusal.value.reasons}
    assert found == {
        "money from git+https://git.invalid/money@main",
        "ledger from https://git.invalid/ledger.tar.gz",
    }


async def test_a_build_that_found_neither_name_nor_version_is_refused(tmp_path: Path):
    setup = "from setuptools import setup\nsetup(py_modules=['acme'])\n"
    with pytest.raises(Refused) as refusal:
        declared(await built(tmp_path, {"pyproject.toml": SETUPTOOLS, "setup.py": setup, "acme.py": ""}))
    assert {reason.what.partition(" ")[2] for reason in refusal.value.reasons} == {"has no version"}


async def test_content_that_lies_in_lfs_is_refused_by_the_path_at_which_it_would_be_missing(tmp_path: Path):
    manifest = f'{HATCHLING}[project]\nname = "acme"\nversion = "1.0"\n'
    files = {"pyproject.toml": manifest, "acme/__init__.py": "", "acme/model.bin": POINTER}
    with pytest.raises(Refused) as refusal:
        declared(await built(tmp_path, files))
    assert {(reason.what, reason.why.partition(" in it")[0]) for reason in refusal.value.reasons} == {
        ("acme-1.0-py2.py3-none-any.whl lacks content", "acme/model.bin"),
        ("acme-1.0.tar.gz lacks content", "acme-1.0/acme/model.bin"),
    }


async def test_two_builds_of_one_setuptools_project_really_differ(tmp_path: Path):
    """Why a commit is not built again: the clock gets into the sdist in spite of SOURCE_DATE_EPOCH."""
    setup = "from setuptools import setup\nsetup(name='acme', version='1.0', py_modules=['acme'])\n"
    files = {"pyproject.toml": SETUPTOOLS, "setup.py": setup, "acme.py": ""}
    first = {path.name: path.read_bytes() for path in await built(tmp_path, files)}
    egg_info = tmp_path / "source" / "acme.egg-info"
    shutil.rmtree(egg_info)
    again = {path.name: path.read_bytes() for path in await built(tmp_path, files)}
    assert [name for name in first if first[name] != again[name]] == ["acme-1.0.tar.gz"]


# ── what no backend should make ────────────────────────────────────────────────────────────────────────────────────


def metadata(name: str = "acme", version: str = "1.0", *more: str, since: str = "2.4") -> str:
    return "\n".join([f"Metadata-Version: {since}", f"Name: {name}", f"Version: {version}", *more, "", "Words.\n"])


def a_wheel(folder: Path, text: str | bytes = "", more: Mapping[str, bytes] | None = None) -> Path:
    """A wheel of acme 1.0 with this METADATA; `more`: other members."""
    file = "acme-1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder / file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, body in (more or {}).items():
            archive.writestr(path, body)
        archive.writestr("acme-1.0.dist-info/METADATA", text or metadata())
    return folder / file


def an_sdist(folder: Path, text: str = "", more: Mapping[str, bytes] | None = None) -> Path:
    """An sdist of acme 1.0 with this PKG-INFO; `more`: other members."""
    file = "acme-1.0.tar.gz"
    with tarfile.open(folder / file, "w:gz") as archive:
        for path, body in {"acme-1.0/PKG-INFO": (text or metadata()).encode(), **(more or {})}.items():
            (one := tarfile.TarInfo(path)).size = len(body)
            archive.addfile(one, io.BytesIO(body))
    return folder / file


def refused(*files: Path) -> list[str]:
    """Why these files are no release."""
    with pytest.raises(Refused) as refusal:
        declared(files)
    return [str(reason) for reason in refusal.value.reasons]


def test_a_wheel_and_an_sdist_that_disagree_are_refused_with_both_in_words(tmp_path: Path):
    wheel = a_wheel(tmp_path, metadata("acme", "1.0", "Requires-Dist: money>=2"))
    [reason] = refused(wheel, an_sdist(tmp_path, metadata("acme", "1.0", "Requires-Dist: money>=1")))
    assert reason.startswith("the wheel and the sdist do not require the same")
    assert "acme-1.0.tar.gz: money>=1" in reason and "money>=2" in reason


@pytest.mark.parametrize("text", [metadata(since="2.1"), metadata("acme", "1.0", "Dynamic: Requires-Dist")])
def test_an_sdist_that_leaves_its_requirements_to_the_wheel_does_not_disagree(tmp_path: Path, text: str):
    wheel, sdist = a_wheel(tmp_path, metadata("acme", "1.0", "Requires-Dist: money>=2")), an_sdist(tmp_path, text)
    assert declared([wheel, sdist]).requires == (Required("money", ">=2"),)
    assert "nobody can tell what it requires" in refused(sdist)[0]


def test_files_of_two_releases_in_one_build_are_refused(tmp_path: Path):
    other = an_sdist(tmp_path, metadata("beta", "2.0")).rename(tmp_path / "beta-2.0.tar.gz")
    found = refused(a_wheel(tmp_path), other)
    assert [reason.partition(" — ")[0] for reason in found] == [
        "the build made files of more than one name",
        "the build made files of more than one version",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (metadata("beta"), "says that it is beta 1.0"),
        (metadata("acme", "1.0+local"), "has a local version"),
        (metadata("acme", "one"), "has no legal version"),
        (metadata("acme", "1.0", "Requires-Dist: money >= two"), "requires 'money >= two'"),
        (metadata("acme", "1.0", "Name: beta"), "its name stand there twice"),
        (metadata("acme", "1.0", "Requires-Dist: é").encode("latin-1"), "in no UTF-8"),
        ("Metadata-Version: 2.1\n", "has no legal version"),
        (metadata() + "x" * (5 << 20), "larger than 4 MiB"),
    ],
)
def test_metadata_that_no_index_would_take_is_refused(tmp_path: Path, text: str | bytes, words: str):
    assert any(words in reason for reason in refused(a_wheel(tmp_path, text)))


def test_every_problem_of_every_file_comes_at_once(tmp_path: Path):
    text = metadata("acme", "1.0+local", "Requires-Dist: money @ git+https://git.invalid/money")
    assert len(refused(a_wheel(tmp_path, text), an_sdist(tmp_path, text))) == 6


def test_metadata_that_a_package_carries_along_is_not_its_own(tmp_path: Path):
    inner = metadata("vendored", "9.0").encode()
    wheel = a_wheel(tmp_path, more={"acme/_vendor/vendored-9.0.dist-info/METADATA": inner})
    sdist = an_sdist(tmp_path, more={"acme-1.0/src/acme.egg-info/PKG-INFO": inner})
    assert declared([wheel, sdist]) == Declared(name="acme", version="1.0")
    with_two = a_wheel(tmp_path, more={"vendored-9.0.dist-info/METADATA": inner})
    assert "nobody can tell what acme-1.0" in refused(with_two)[0]


def test_metadata_in_utf_8_and_dos_line_ends_is_read(tmp_path: Path):
    text = metadata("acme", "1.0", "Author: Zoë 名前", "Requires-Dist: Money.Core [ui,x] (>=1.0,<2) ; extra == 'a'")
    wheel = a_wheel(tmp_path, text.replace("\n", "\r\n").encode())
    assert declared([wheel]).requires == (Required("money-core", "<2,>=1.0"),)


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    for name in ("acme-1.0.zip", "acme-1.0.egg", "notes.txt"):
        shutil.copy(a_wheel(tmp_path), tmp_path / name)
        assert "neither a wheel nor an sdist" in refused(tmp_path / name)[0]


def test_an_archive_that_unpacks_to_far_more_than_it_is_ends_with_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(unpacking, "LARGEST_UNPACKED_BYTES", 1 << 20)
    bomb = {"acme-1.0/zeros": b"\0" * (2 << 20)}
    for file in (a_wheel(tmp_path, more=bomb), an_sdist(tmp_path, more=bomb)):
        assert file.stat().st_size < 10_000
        assert f"{file.name} is too large to look into" in refused(file)[0]


def test_what_follows_the_end_of_an_archive_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpacking, "LARGEST_UNPACKED_BYTES", 1 << 20)
    sdist = an_sdist(tmp_path)
    sdist.write_bytes(gzip.compress(gzip.decompress(sdist.read_bytes()) + b"\0" * (2 << 20)))
    assert "too large to look into" in refused(sdist)[0]


def test_many_files_end_with_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpacking, "MOST_MEMBERS", 10)
    crowd = {f"acme-1.0/{number}": b"" for number in range(11)}
    for file in (a_wheel(tmp_path, more=crowd), an_sdist(tmp_path, more=crowd)):
        assert "too large to look into" in refused(file)[0]


def test_what_pypi_alone_would_not_take_is_refused_only_where_it_goes_there(tmp_path: Path):
    private = a_wheel(tmp_path, metadata("acme", "1.0", "Classifier: Private :: Do Not Upload"))
    local = private.rename(tmp_path / "acme-1.0-cp311-cp311-linux_x86_64.whl")
    assert [reason.partition(" — ")[0] for reason in refused(local)] == [
        f"{local.name} is not meant for PyPI",
        f"{local.name} runs on this machine only",
    ]
    assert declared([local], "https://pypi.acme.example/").version == "1.0"
    portable = local.rename(tmp_path / "acme-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
    assert len(refused(portable)) == 1


def test_a_text_about_lfs_that_is_no_pointer_is_content(tmp_path: Path):
    for body in (POINTER.encode() * 20, b"# " + POINTER.encode(), POINTER[:20].encode()):
        assert declared([a_wheel(tmp_path, more={"acme/doc.md": body})]).version == "1.0"


@pytest.mark.parametrize(
    ("range", "takes", "leaves"),
    [
        ("~=1.1", ("1.1", "1.9", "1.2.post1"), ("2.0", "1.0", "1.2rc1")),
        ("==1.1.*", ("1.1", "1.1.9"), ("1.2",)),
        (">=1.2.dev0", ("1.2rc1", "1.2.dev1", "1.3"), ("1.1",)),
        (">=1!1.0", ("1!1.0",), ("2.0",)),
        ("===1.0", ("1.0",), ("1.0.0.1",)),
        ("!=1.1,>1", ("1.2",), ("1.1", "1")),
    ],
)
def test_ranges_are_those_of_pep_440(range: str, takes: tuple[str, ...], leaves: tuple[str, ...]):
    assert [accepts(range, version) for version in takes] == [True] * len(takes)
    assert [accepts(range, version) for version in leaves] == [False] * len(leaves)
