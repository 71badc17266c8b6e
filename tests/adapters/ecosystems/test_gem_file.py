"""What a gem became, as the real `gem build` leaves it: read from its specification, whatever Ruby computed it from."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from adapters.ecosystems import unpacking
from adapters.ecosystems.gem_file import declared
from adapters.ecosystems.gem_versions import accepts
from core.errors import Refused
from core.ports import Declared, Required

HOST = "https://rubygems.org"
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'4d' * 32}\nsize 12345\n"
needs_ruby = pytest.mark.skipif(shutil.which("gem") is None, reason="gem is missing: apt-get install ruby")
SPEC = """\
--- !ruby/object:Gem::Specification
name: widgetry
version: !ruby/object:Gem::Version
  version: 1.0.0
platform: ruby
dependencies: []
metadata: {}
"""


def built(folder: Path, ruby: str, **files: str) -> Path:
    """What `gem build` makes of a gemspec with these lines."""
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    head = 's.name = "widgetry"; s.summary = "Toy"; s.authors = ["Ada"]; s.files = Dir["*.txt"]; s.version = "1.0"\n'
    (folder / "widgetry.gemspec").write_text(f"Gem::Specification.new do |s|\n{head}{ruby}\nend\n")
    env = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    said = subprocess.run(("gem", "build", "widgetry.gemspec"), cwd=folder, env=env, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    [gem] = folder.glob("*.gem")
    return gem


def packed(folder: Path, spec: str | bytes, data: bytes | None = None) -> Path:
    """A gem that no Ruby made."""
    text = spec if isinstance(spec, bytes) else spec.encode()
    with tarfile.open(fileobj=(empty := io.BytesIO()), mode="w:gz"):
        pass
    parts = {"metadata.gz": gzip.compress(text), "data.tar.gz": data or empty.getvalue(), "checksums.yaml.gz": b""}
    with tarfile.open(folder / "widgetry-1.0.0.gem", "w") as archive:
        for path, body in parts.items():
            (one := tarfile.TarInfo(path)).size = len(body)
            archive.addfile(one, io.BytesIO(body))
    return folder / "widgetry-1.0.0.gem"


def refused(gem: Path, host: str = HOST) -> list[str]:
    """Why it is no release."""
    with pytest.raises(Refused) as refusal:
        declared([gem], host)
    return [str(reason) for reason in refusal.value.reasons]


@needs_ruby
def test_what_ruby_computes_is_plain_in_the_gem(tmp_path: Path):
    ruby = """
      s.version = [1, 2, File.read("patch.txt").to_i].join(".")
      needs = { gadgetry: ["~> 1.1", "!= 1.1.3"], rack: [], "coin-core" => "= 2.0.0.rc1" }
      needs.each { |name, range| s.add_dependency name.to_s, *range }
      s.add_development_dependency "rspec", "~> 3"
      s.add_runtime_dependency("json") if RUBY_ENGINE == "ruby"
    """
    assert declared([built(tmp_path, ruby, patch_txt="7\n")], HOST) == Declared(
        name="widgetry",
        version="1.2.7",
        requires=(
            Required("coin-core", "= 2.0.0.rc1"),
            Required("gadgetry", "~> 1.1, != 1.1.3"),
            Required("json"),
            Required("rack"),
        ),
    )


@needs_ruby
@pytest.mark.parametrize(
    ("ruby", "name", "version"),
    [
        ('s.version = "2.0.0-beta.1"', "widgetry", "2.0.0.pre.beta.1"),
        ('s.name = "Widget_ry.x"; s.version = "1.0.a"', "Widget_ry.x", "1.0.a"),
        ('s.platform = "x86_64-linux"', "widgetry", "1.0"),
        ("s.platform = Gem::Platform.new('java')", "widgetry", "1.0"),
    ],
)
def test_a_number_is_what_the_registry_will_list(tmp_path: Path, ruby: str, name: str, version: str):
    found = declared([built(tmp_path, ruby)], HOST)
    assert (found.name, found.version) == (name, version)


@needs_ruby
def test_a_gem_that_may_only_go_elsewhere_is_refused_before_the_push(tmp_path: Path):
    gem = built(tmp_path, 's.metadata["allowed_push_host"] = "https://gems.acme.example"')
    [reason] = refused(gem)
    assert reason.startswith(f"{gem.name} may not be pushed to {HOST} — it allows only https://gems.acme.example")
    assert declared([gem], "https://gems.acme.example/").version == "1.0"


@needs_ruby
def test_every_problem_of_a_gem_comes_at_once(tmp_path: Path):
    ruby = 's.version = "0.0.0"; s.metadata["allowed_push_host"] = "https://gems.acme.example"'
    found = refused(built(tmp_path, ruby, model_txt=POINTER))
    assert [reason.partition(" — ")[0] for reason in found] == [
        "widgetry-0.0.0.gem has no version",
        f"widgetry-0.0.0.gem may not be pushed to {HOST}",
        "widgetry-0.0.0.gem lacks content",
    ]
    assert "model.txt in it is a pointer to Git LFS" in found[2]


@needs_ruby
def test_words_in_any_script_are_read(tmp_path: Path):
    assert declared([built(tmp_path, 's.summary = "結算 — Zoë\\n: #{1}"')], HOST).version == "1.0"


def test_nothing_in_a_specification_is_ever_constructed(tmp_path: Path):
    ran = tmp_path / "ran"
    hostile = (
        SPEC + f'email: !!python/object/apply:os.system ["touch {ran}"]\n'
        "executables: !ruby/object:Gem::Installer\n  i: x\n"
        "bindir: !ruby/object:Gem::Requirement\n  requirements: !ruby/hash:Foo {}\n"
    )
    assert declared([packed(tmp_path, hostile)], HOST) == Declared(name="widgetry", version="1.0.0")
    assert not ran.exists()


def test_a_dependency_that_is_written_once_and_pointed_to_is_read(tmp_path: Path):
    aliased = SPEC.replace(
        "dependencies: []",
        "dependencies:\n- &one !ruby/object:Gem::Dependency\n  name: gadgetry\n"
        "  requirement: &r !ruby/object:Gem::Requirement\n    requirements:\n"
        '    - - "~>"\n      - !ruby/object:Gem::Version\n        version: "1.0"\n'
        "  version_requirements: *r\n  type: :runtime\n- *one",
    )
    assert declared([packed(tmp_path, aliased)], HOST).requires == (Required("gadgetry", "~> 1.0"),)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "says that it is nothing"),
        ("- a list\n", "says that it is nothing"),
        (SPEC.replace("1.0.0", "1.0.1"), "says that it is widgetry 1.0.1"),
        (SPEC.replace("name: widgetry", "name: other"), "says that it is other 1.0.0"),
        (SPEC.replace("ruby\n", "java\n"), "says that it is widgetry 1.0.0"),
        ("a: *nowhere\n", "says that it is nothing"),
        ("a: [\n", "cannot be read"),
        ("[" * 50_000, "nested too deep"),
        ("a: " + "{a: " * 50_000, "nested too deep"),
        ("- " * 50_000, "nested too deep"),
        ("a: \x00", "cannot be read"),
        (b"\xff\xfe\xfa" * 9, "cannot be read"),
        (SPEC + "x" * (5 << 20), "too large"),
    ],
)
def test_a_specification_that_says_nothing_plain_is_refused(tmp_path: Path, spec: str | bytes, words: str):
    assert any(words in reason for reason in refused(packed(tmp_path, spec)))


def test_aliases_of_aliases_take_neither_memory_nor_time(tmp_path: Path):
    layers = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40))
    spec = SPEC + "a0: &a0 [x]\n" + layers
    assert declared([packed(tmp_path, spec)], HOST).version == "1.0.0"


def test_data_that_unpacks_to_far_more_than_it_is_ends_with_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpacking, "LARGEST_UNPACKED_BYTES", 1 << 20)
    with tarfile.open(fileobj=(bomb := io.BytesIO()), mode="w:gz") as archive:
        (one := tarfile.TarInfo("zeros")).size = 2 << 20
        archive.addfile(one, io.BytesIO(b"\0" * one.size))
    assert "too large to look into" in refused(packed(tmp_path, SPEC, bomb.getvalue()))[0]
    assert "cannot be read" in refused(packed(tmp_path, SPEC, b"\x1f\x8bnot gzip at all"))[0]


@needs_ruby
def test_ranges_are_those_of_rubygems(tmp_path: Path):
    """Every sign over every version, as Gem::Requirement itself answers; beside the rule about prereleases."""
    versions = ["0.9", "1", "1.0", "1.0.0.a", "1.0.1", "1.1.rc1", "1.1", "1.1.0.1", "1.9.9", "1.10", "2.0.pre", "2"]
    ranges = [f"{sign} {one}" for sign in ("=", "!=", ">", "<", ">=", "<=", "~>") for one in versions]
    ranges += ["~> 1.0, != 1.0.1", ">= 1.0.a, < 2", "1.1"]
    asked = f"rs = {ranges!r}; vs = {versions!r}\n" + (
        "rs.each { |r| puts vs.map { |v| q = Gem::Requirement.new(r.split(',').map(&:strip)); w = Gem::Version.new(v)\n"
        "(q.satisfied_by?(w) && (!w.prerelease? || q.prerelease?)) ? 1 : 0 }.join }"
    )
    told = subprocess.run(("ruby", "-e", asked), capture_output=True, text=True, check=True).stdout.split()
    found = ["".join(str(int(accepts(range, version))) for version in versions) for range in ranges]
    assert dict(zip(ranges, found, strict=True)) == dict(zip(ranges, told, strict=True))
