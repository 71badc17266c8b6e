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

from adapters.ecosystems.gem_versions import compare_versions
from adapters.ecosystems.gemfile import gem_calls, pinned, pointed
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
    assert once.startswith(text[: was.start])
    assert once.endswith(text[was.end :])
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
        ("%w[a].each do |name|", True),
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
        ('gem "x", git: "u" if ENV["LOCAL"]\n', ("line 2", "goes on with `if`")),
        ('git "u" do\n  gem "x"\nend\n', ("line 3", "in a block of `git`")),
        ('path "../x" do\n  gem "y"\n  gem "x"\nend\n', ("line 4", "in a block of `path`")),
        ('gem "x", git: "u"\n\ngem "x", path: "v"\n', ("line 2 and 4", "more than once")),
        ('gem "x", **OPTIONS\n', ("line 2", "`**OPTIONS` is not written out")),
        ('gem "x", X_VERSION\n', ("line 2", "`X_VERSION` is not written out")),
        ('gem "x", "~> #{MAJOR}"\n', ("line 2", "is not written out")),
        ('gem "x", git: "u"; gem "y"\n', ("line 2", "goes on with `;`")),
        ('gem "x", git: "#{[1].map { |n| "#{n}" }}, u"\n', ("line 2", 'goes on with `"`')),
        ('gem "x", git: <<~URL\n  u\nURL\n', ("line 2", "goes on with `<<~`")),
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
