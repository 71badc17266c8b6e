"""Gemfiles re-pinned as text, judged by the real Bundler; versions ordered as the real RubyGems orders them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ecosystems import gemfile_pins
from adapters.ecosystems.gem_versions import compare_versions
from adapters.ecosystems.gemfile import Call, read_gemfile
from core.errors import Refused

needs_ruby = pytest.mark.skipif(
    shutil.which("ruby") is None or shutil.which("bundle") is None,
    reason="ruby and bundler are missing: apt-get install --no-install-recommends ruby ruby-bundler",
)
_RUBY = """
require "json"
require "bundler"
STDOUT.sync = true
STDIN.each_line do |line|
  asked = JSON.parse(line)
  if asked.is_a?(Array)
    puts JSON.dump(Gem::Version.new(asked[0]) <=> Gem::Version.new(asked[1]))
  else
    dsl = Bundler::Dsl.new
    dsl.eval_gemfile("Gemfile", asked["gemfile"])
    puts JSON.dump(dsl.dependencies.map { |one|
      [one.name, one.requirement.to_s, one.source&.class, one.groups, one.autorequire, one.platforms]
    })
  end
rescue ScriptError, StandardError => error
  puts JSON.dump(error.message)
end
"""
Ask = Callable[[Any], Any]


def gem_calls(text: str) -> tuple[Call, ...]:
    return read_gemfile({"Gemfile": text.encode()}, "Gemfile").calls


def pinned(text: str, versions: dict[str, str]) -> str:
    return _after(text, gemfile_pins.pinned({"Gemfile": text.encode()}, "Gemfile", versions))


def pointed(text: str, commits: dict[str, str]) -> str:
    return _after(text, gemfile_pins.pointed({"Gemfile": text.encode()}, "Gemfile", commits))


def _after(text: str, changed: dict[str, bytes]) -> str:
    assert changed.keys() <= {"Gemfile"}
    return changed.get("Gemfile", text.encode()).decode()


@pytest.fixture(scope="module")
def ruby(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """The real Bundler and RubyGems, answering one question per line."""
    home = tmp_path_factory.mktemp("ruby")
    (home / "Gemfile").touch()  # Bundler wants one to stand somewhere
    argv = ["ruby", "-W0", "-e", _RUBY]
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8"}
    with subprocess.Popen(argv, cwd=home, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:

        def ask(question: Any) -> Any:
            assert child.stdin and child.stdout
            child.stdin.write(json.dumps(question) + "\n")
            child.stdin.flush()
            answer = json.loads(child.stdout.readline())
            assert not isinstance(answer, str), answer
            return answer

        yield ask
        child.terminate()


# ── every way to write one call ────────────────────────────────────────────────────────────────────────────────────

_REFERENCES = [
    {},
    {"git": '"https://git.invalid/widgetry.git"', "branch": '"release"'},
    {"git": "'https://git.invalid/#widgetry'", "ref": "'0af3,9c'"},
    {"github": '"team/widgetry"', "tag": '"v#{[1, 2].join(".")}"'},
    {"path": '"../widgetry"'},
    {"corp": '"widgetry"', "branch": "%w[release main].first", "submodules": "true"},
]
_OTHERS = {
    "require": ["false", '["widgetry/a", "widgetry/b"]', '"widgetry, the # one"'],
    "group": [":test", "[:test, :development]"],
    "platforms": ["%i[mri jruby]", ":mri"],
}


@st.composite
def calls(draw: st.DrawFn, name: str) -> str:
    """A call of `gem` that Bundler understands, laid out in any way."""
    quote, rocket, parentheses = draw(st.sampled_from("\"'")), draw(st.booleans()), draw(st.booleans())
    reference = draw(st.sampled_from(_REFERENCES))
    others = {key: draw(st.sampled_from(values)) for key, values in _OTHERS.items() if draw(st.booleans())}
    options = draw(st.permutations([*reference.items(), *others.items()]))
    arguments = [f"{quote}{name}{quote}"]
    arguments += draw(st.sampled_from([[], [f"{quote}~> 1.0{quote}"], ['">= 1"', "'< 3'"], ['["> 1", "< 3"]']]))
    arguments += [f":{key} => {value}" if rocket else f"{key}: {value}" for key, value in options]
    gaps = st.sampled_from([" ", "", "\n    ", " # why, and (how)\n    ", "\n    # a note\n\n  ", " \\\n  "])
    text = arguments[0] + "".join("," + draw(gaps) + one for one in arguments[1:])
    after = draw(st.sampled_from(["", "  # pinned, on purpose"]))
    return (f"gem({text})" if parentheses else f"gem {text}") + after + "\n"


@st.composite
def gemfiles(draw: st.DrawFn) -> str:
    """A Gemfile with a call for widgetry, and others around it."""
    parts = [draw(calls(name)) for name in ("alpha", "widgetry", "widgetry-rails")]
    wrapped = [
        draw(st.sampled_from([part, f"group :deploy do\n  {part}end\n", f"if true\n  {part}end\n"])) for part in parts
    ]
    head = 'source "https://rubygems.org"\ngit_source(:corp) { |name| "https://git.invalid/#{name}" }\n'
    return head + "=begin\ngem 'widgetry', git: 'x'\n=end\n" + "\n".join(draw(st.permutations(wrapped)))


@needs_ruby
@settings(deadline=None)
@given(text=gemfiles())
def test_bundler_reads_the_pin_and_everything_else_as_before(ruby: Ask, text: str):
    before = {name: rest for name, *rest in ruby({"gemfile": text})}
    after = {name: rest for name, *rest in ruby({"gemfile": pinned(text, {"widgetry": "1.2.0"})})}
    requirement, source, *others = after.pop("widgetry")
    assert (requirement, source) == ("= 1.2.0", None)
    assert others == before.pop("widgetry")[2:]
    assert after == before


@settings(deadline=None)
@given(text=gemfiles())
def test_repinning_is_idempotent_and_touches_one_call_and_no_comment(text: str):
    once = pinned(text, {"widgetry": "1.2.0"})
    assert pinned(once, {"widgetry": "1.2.0"}) == once
    [was] = [call for call in gem_calls(text) if call.name == "widgetry"]
    assert once.encode().startswith(text.encode()[: was.start])
    assert once.encode().endswith(text.encode()[was.end :])
    for word in ("# why, and (how)", "# a note", "# pinned, on purpose"):
        assert once.count(word) == text.count(word)


@needs_ruby
@settings(deadline=None)
@given(text=gemfiles())
def test_what_comes_from_a_branch_or_path_is_what_bundler_gives_a_source(ruby: Ask, text: str):
    sources = {name: source is not None for name, _, source, *_ in ruby({"gemfile": text})}
    assert {call.name: call.by_reference for call in gem_calls(text)} == sources


@pytest.mark.parametrize(
    ("opening", "by_reference"),
    [
        ('git "u", branch: "release" do', True),
        ('path "engines" do # ours', True),
        ('path "#{__dir__}/engines" do', True),
        ("%w[a].each do |name|", False),
        ("edge do", True),
        ('source "https://gems.invalid" do # what to do', False),
        ("group :test do", False),
        ('if ENV["NEXT"]', False),
    ],
)
def test_a_block_of_git_is_a_reference_and_ends_where_it_ends(opening: str, by_reference: bool):
    text = f'{opening}\n  group :a do\n    gem "other"\n  end\n  gem "x"\nend\ngem "after"\n'
    found = {call.name: call.by_reference for call in gem_calls(text)}
    assert found == {"other": by_reference, "x": by_reference, "after": False}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('gem "x", git: "u", branch: "release"\n', 'gem "x", "= 2.0"\n'),
        ("gem 'x', :github => 'a/b', :require => false # c\n", "gem 'x', '= 2.0', :require => false # c\n"),
        ('gem "x"\n', 'gem "x", "= 2.0"\n'),
        ('gem("x", path: "../x")\r\n', 'gem("x", "= 2.0")\r\n'),
        ('gem "x", require: "y", git: "u"\n', 'gem "x", "= 2.0", require: "y"\n'),
        (
            'gem "x", "~> 1.0",\n    git: "u", # why\n    require: false\n',
            'gem "x", "= 2.0", # why\n    require: false\n',
        ),
        (
            'gem "x",\n    git: "u",\n    branch: "b",\n    group: :a\n',
            'gem "x",\n    "= 2.0",\n    group: :a\n',
        ),
        ('gem "x", git: "u" if ENV["LOCAL"]\n', 'gem "x", "= 2.0" if ENV["LOCAL"]\n'),
        ('gem "x", git: "u"; gem "y", git: "v"\n', 'gem "x", "= 2.0"; gem "y", git: "v"\n'),
        ('git "u" do\n  gem "x"\nend\n', 'gem "x", "= 2.0"\n'),
        ('git("u") { gem "x" }\n', 'gem "x", "= 2.0"\n'),
        (
            'group :a do\n  path "v" do # ours\n    # why\n    gem "x", require: false\n  end\nend\n',
            'group :a do\n  # ours\n  # why\n  gem "x", "= 2.0", require: false\nend\n',
        ),
        (
            'group :a do\r\n  git "u", branch: "b" do\r\n    gem "y"\r\n    gem "x" # it\r\n  end\r\nend\r\n',
            'group :a do\r\n  gem "x", "= 2.0" # it\r\n  git "u", branch: "b" do\r\n    gem "y"\r\n  end\r\nend\r\n',
        ),
        (
            'if ENV["LOCAL"]\n  gem "x", path: "../x"\nelse\n  gem "x", github: "a/x"\nend\n',
            'if ENV["LOCAL"]\n  gem "x", "= 2.0"\nelse\n  gem "x", "= 2.0"\nend\n',
        ),
        (
            'gem "x", git: "u", platforms: :mri\ngem "x", git: "u", platforms: :jruby\n',
            'gem "x", "= 2.0", platforms: :mri\ngem "x", "= 2.0", platforms: :jruby\n',
        ),
    ],
)
def test_a_repin_reads_as_a_person_would_have_written_it(before: str, after: str):
    head, tail = "# gems\n", "gem 'xx', git: 'u'\n"
    assert pinned(head + before + tail, {"x": "2.0"}) == head + after + tail


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('gem "x", git: "u", branch: "b"\n', 'gem "x", git: "u", ref: "SHA"\n'),
        ("gem 'x', '~> 1.0', github: 'a/b' # c\n", "gem 'x', '~> 1.0', github: 'a/b', ref: 'SHA' # c\n"),
        (
            "gem 'x', :tag => 't', :git => 'u', :require => false\n",
            "gem 'x', :git => 'u', :require => false, ref: 'SHA'\n",
        ),
        ('gem("x",\n    git: "u", # why\n    branch: "b")\n', 'gem("x",\n    git: "u", # why\n    ref: "SHA")\n'),
        ('git "u", branch: "b" do\n  gem "x"\nend\n', 'git "u", ref: "SHA" do\n  gem "x"\nend\n'),
        ('github "a/b" do\n  gem "y"\n  gem "x"\nend\n', 'github "a/b", ref: "SHA" do\n  gem "y"\n  gem "x"\nend\n'),
        ('gem "x", ours: "u", glob: "*", ref: "0"\n', 'gem "x", ours: "u", glob: "*", ref: "SHA"\n'),
    ],
)
def test_a_pin_to_a_commit_keeps_where_the_repository_is(before: str, after: str):
    head, tail = "# gems\n", "gem 'xx', git: 'u', branch: 'b'\n"
    assert pointed(head + before + tail, {"x": "SHA"}) == head + after + tail
    assert pointed(head + after + tail, {"x": "SHA"}) == head + after + tail


@pytest.mark.parametrize("text", ['gem "x", path: "../x"\n', 'gem "x", "= 1.0"\n', 'gem "x"\n'])
def test_what_is_not_in_git_cannot_be_pinned_to_a_commit(text: str):
    with pytest.raises(Refused, match="QA would see another x than rides"):
        pointed(text, {"x": "SHA"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'path "../x" do\n  gem "y"\n  group :a do\n    gem "x"\n  end\nend\n',
            ("line 5", "block of `path` on line 2"),
        ),
        ('path("../x") { gem "y"; gem "x" }\n', ("line 2", "shares its line")),
        ('edge do\n  gem "x"\nend\n', ("line 3", "in a block of `edge`")),
        ('def rails\n  gem "x"\nend\n', ("line 3", "in a method")),
        ('eval_gemfile "common.rb"\n', ("no plain gem 'x'", "Gemfile line 2")),
        ('gem "x", git: "u"\nif (\n', ("line 2", "cannot be read")),
        ('gem "x", **OPTIONS\n', ("line 2", "`**OPTIONS` is not written out")),
        ('gem "x", X_VERSION\n', ("line 2", "`X_VERSION` is not written out")),
        ('gem "x", "~> #{MAJOR}"\n', ("line 2", "is not written out")),
        ('gem "x", git: <<~URL\n  u\nURL\n', ("line 2", "goes on with `<<`")),
        ('%w[x y].each { |name| gem name, git: "u" }\n', ("has no plain gem 'x'",)),
        ('# gem "x", git: "u"\n', ("has no plain gem 'x'",)),
        ('=begin\ngem "x", git: "u"\n=end\n', ("has no plain gem 'x'",)),
        ('__END__\ngem "x", git: "u"\n', ("has no plain gem 'x'",)),
    ],
)
def test_what_cannot_be_rewritten_without_guessing_is_refused_with_its_line(text: str, words: tuple[str, ...]):
    with pytest.raises(Refused) as refusal:
        pinned('gem "other"\n' + text, {"x": "2.0"})
    assert all(word in str(refusal.value) for word in words), str(refusal.value)


@settings(deadline=None)
@given(text=st.text(alphabet="gem \"'x,#{}()[]%w:=>doifend\\\n;", max_size=60))
def test_any_text_is_rewritten_or_refused(text: str):
    with suppress(Refused):
        pinned('gem "x"' + text, {"x": "2.0"})


# ── versions ───────────────────────────────────────────────────────────────────────────────────────────────────────

_parts = st.one_of(st.integers(0, 12).map(str), st.sampled_from(["a", "b2", "rc", "rc1", "pre", "1a", "Z", "0"]))


@st.composite
def versions(draw: st.DrawFn) -> str:
    """A version that RubyGems would take."""
    parts = [str(draw(st.integers(0, 12))), *draw(st.lists(_parts, max_size=4))]
    return ".".join(parts) + draw(st.sampled_from(["", "", "-beta", "-1", ".0.0"]))


@needs_ruby
@settings(deadline=None)
@given(one=versions(), other=versions())
def test_versions_are_ordered_as_rubygems_orders_them(ruby: Ask, one: str, other: str):
    assert compare_versions(one, other) == ruby([one, other])


@settings(deadline=None)
@given(one=versions(), other=versions())
def test_two_versions_compared_the_other_way_round_agree(one: str, other: str):
    assert compare_versions(one, other) == -compare_versions(other, one)


# ── line ends and encodings ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xef\xbb\xbf",
        b"# encoding: iso-8859-1\n# \xfcber\n",
        b"# -*- coding: utf-8 -*-\n# \xc3\xbc\n",
        b"# \xff\xfe\x80 is nothing\n",
        b"# one\rtwo\n",
    ],
)
def test_bytes_of_any_encoding_and_line_end_stay_as_they_are(end: bytes, head: bytes):
    before = head + b'git "u" do\n  gem "x" # \xe9\nend\n# \xe9\n'
    after = head + b'gem "x", "= 2.0" # \xe9\n# \xe9\n'
    files = {"Gemfile": before.replace(b"\n", end)}
    assert gemfile_pins.pinned(files, "Gemfile", {"x": "2.0"}) == {"Gemfile": after.replace(b"\n", end)}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('gem "x", git: "u"\n'.encode("utf-16"), "Gemfile cannot be read — line 1 has the byte 0x00"),
        (b'# encoding: shift_jis\ngem "x", git: "u"\n', "in which not every byte below 128 is ASCII"),
        (b'gem "y"\n\x1a\ngem "x", git: "u"\n', "line 2 has the byte 0x1a, at which Ruby stops reading"),
        (b'gem "y"\rgem "x", git: "u"\r', "cannot be re-pinned"),
    ],
)
def test_bytes_that_cannot_be_read_safely_are_refused_with_what_to_do(content: bytes, words: str):
    with pytest.raises(Refused) as refusal:
        gemfile_pins.pinned({"Gemfile": content}, "Gemfile", {"x": "2.0"})
    assert words in str(refusal.value)


def test_a_gem_in_a_file_that_the_gemfile_evaluates_is_pinned_there():
    files = {
        "Gemfile": b'eval_gemfile "gemfiles/common.rb"\n',
        "gemfiles/common.rb": b'eval_gemfile "../more.rb"\n',
        "more.rb": b'gem "x", git: "u"\n',
    }
    assert gemfile_pins.pinned(files, "Gemfile", {"x": "2.0"}) == {"more.rb": b'gem "x", "= 2.0"\n'}


def test_one_git_block_cannot_be_at_two_commits():
    files = {"Gemfile": b'git "u" do\n  gem "x"\n  gem "y"\nend\n'}
    with pytest.raises(Refused, match="ride at different commits"):
        gemfile_pins.pointed(files, "Gemfile", {"x": "a", "y": "b"})
    both = gemfile_pins.pointed(files, "Gemfile", {"x": "a", "y": "a"})
    assert both == {"Gemfile": b'git "u", ref: "a" do\n  gem "x"\n  gem "y"\nend\n'}
