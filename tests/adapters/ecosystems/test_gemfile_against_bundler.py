"""Whatever a Gemfile looks like: it is read as the real Bundler reads it, or said not to be; never read wrongly."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from adapters.ecosystems.gemfile import read_gemfile
from adapters.ecosystems.gemfile_pins import pinned
from core.errors import Refused

pytestmark = pytest.mark.skipif(
    shutil.which("ruby") is None or shutil.which("bundle") is None,
    reason="ruby and bundler are missing: apt-get install --no-install-recommends ruby ruby-bundler",
)
# Evaluates many folders: {name: [[requirement, from elsewhere, groups, autorequire, platforms], …]}, or why not.
_RUBY = """
require "json"
require "bundler"
puts JSON.dump(JSON.parse(STDIN.read).map { |folder|
  begin
    Dir.chdir(folder) do
      dsl = Bundler::Dsl.new
      dsl.eval_gemfile(Pathname.new(folder) + "Gemfile")
      dsl.dependencies.group_by(&:name).transform_values { |all|
        all.map { |one|
          elsewhere = one.source && !one.source.instance_of?(Bundler::Source::Rubygems)
          [one.requirement.to_s, !!elsewhere, one.groups, one.autorequire, one.platforms]
        }
      }
    end
  rescue ScriptError, StandardError => error
    "#{error.class}: #{error.message}"
  end
})
"""
Files = dict[str, bytes]
# One gem that rides in every way that people write it; each with how often Ruby alone could tell (0: never).
_SHAPES: tuple[tuple[str, str], ...] = (
    ("plain", 'gem "x"\ngem "y", "~> 1.0"\n'),
    ("git", 'gem "x", git: "https://h/x.git", branch: "release"\n'),
    ("github", 'gem "x", github: "team/x", tag: "v1"\n'),
    ("gist", 'gem "x", gist: "4815162342"\n'),
    ("bitbucket", 'gem "x", bitbucket: "team/x"\n'),
    ("custom", 'git_source(:corp) { |name| "https://h/#{name}.git" }\ngem "x", corp: "x"\n'),
    ("custom-do", 'git_source :corp do |name|\n  "https://h/#{name}.git"\nend\ngem "x", corp: "x", require: false\n'),
    ("path", 'gem "x", path: "../x"\n'),
    ("rockets", 'gem "x", :git => "https://h/x.git", :ref => "abc", :require => ["x/a", "x/b"]\n'),
    ("string-keys", 'gem "x", "git" => "https://h/x.git"\n'),
    ("quoted-keys", 'gem "x", "git": "https://h/x.git"\n'),
    ("git-block", 'git "https://h/x.git", branch: "b" do\n  gem "x"\n  gem "x-rails"\nend\ngem "y"\n'),
    ("git-block-1", 'group :test do\n  git "https://h/x.git" do\n    # us\n    gem "x", group: :b\n  end\nend\n'),
    ("git-braces", 'git("https://h/x.git") { gem "x" }\ngem "y"\n'),
    ("github-block", 'github "team/x" do\n  gem "x"\nend\n'),
    ("path-block", 'path "engines" do\n  gem "y"\n  gem "x" # ours\nend\n'),
    ("path-groups", 'path "engines" do\n  group :test do\n    gem "x"\n  end\nend\n'),
    ("source-block", 'source "https://gems.h" do\n  gem "x"\n  gem "y", git: "https://h/y"\nend\n'),
    ("source-option", 'gem "x", "1.0", source: "https://gems.h"\n'),
    ("groups", 'group :a, :b do\n  gem "x", github: "t/x"\nend\ngroup(:c) { gem "y" }\n'),
    ("optional", 'group :a, optional: true do\n  gem "x", github: "t/x", group: :b\nend\n'),
    ("platforms", 'platforms :mri, :jruby do\n  gem "x", github: "t/x"\nend\nplatform(:ruby) { gem "y" }\n'),
    ("two", 'gem "x", github: "t/x", platforms: :mri\ngem "x", github: "t/x", platforms: :jruby\n'),
    ("install-if", 'install_if -> { true } do\n  gem "x", github: "t/x"\nend\n'),
    ("install-if-option", 'gem "x", github: "t/x", install_if: -> { RUBY_VERSION > "2" }\n'),
    ("env-block", 'env "HOME" do\n  gem "x", github: "t/x"\nend\n'),
    ("if", 'if ENV["NOPE"]\n  gem "x", path: "../x"\nelse\n  gem "x", github: "t/x"\nend\n'),
    ("unless", 'unless ENV["NOPE"] then gem "x", github: "t/x" end\n'),
    ("case", 'case RUBY_ENGINE\nwhen "ruby" then gem "x", github: "t/x"\nelse gem "x", "1"\nend\n'),
    ("modifier", 'gem "x", github: "t/x" if ENV["HOME"]\ngem "y" unless true\n'),
    ("ternary", 'ENV["NOPE"] ? gem("x", path: "../x") : gem("x", github: "t/x")\n'),
    ("and", 'ENV["HOME"] && gem("x", github: "t/x")\n'),
    ("env-value", 'gem "x", ENV.fetch("NOPE", "~> 1"), github: "t/x"\n'),
    ("env-branch", 'gem "x", github: "t/x", branch: ENV.fetch("NOPE", "main")\n'),
    ("interpolated", 'base = "https://h"\ngem "x", git: "#{base}/x.git", tag: "v#{[1, 2].join(".")}"\n'),
    ("nested", 'gem "x", git: "#{[1].map { |n| "https://h/#{n}, x" }.first}"\n'),
    ("heredoc", 'gem "x", git: <<~URL.strip, require: false\n  https://h/x.git\nURL\ngem "y"\n'),
    ("heredoc-decoy", 'text = <<~T\n  gem "z", git: "u"\nT\ngem "x", github: "t/x"\n'),
    ("percent", "gem %q(x), git: %q(https://h/x.git)\ngem %(y)\n"),
    ("words", '%w[x y].each { |name| gem name, git: "https://h/#{name}" }\n'),
    ("words-do", '%w[a b].each do |name|\n  gem name\nend\ngem "x", github: "t/x"\n'),
    ("hash-loop", '{ "x" => "t/x" }.each { |name, at| gem name, github: at }\n'),
    ("times", '1.times do\n  gem "x", github: "t/x"\nend\n'),
    ("splat", 'args = ["~> 1.0", { git: "https://h/x" }]\ngem "x", *args\n'),
    ("double-splat", 'opts = { git: "https://h/x" }\ngem "x", **opts\n'),
    ("hash", 'gem "x", { git: "https://h/x" }\n'),
    ("variable", 'opts = { git: "https://h/x" }\ngem "x", opts\n'),
    ("with-options", 'def ours(name) = gem(name, git: "https://h/#{name}")\nours "x"\n'),
    ("method", 'def ours(name)\n  gem name, git: "https://h/#{name}"\nend\nours "x"\ngem "y"\n'),
    ("block-method", 'def edge(&block) = git("https://h/x", &block)\nedge do\n  gem "x"\nend\n'),
    ("lambda", 'ours = ->(name) { gem name, git: "https://h/#{name}" }\nours.("x")\n'),
    ("never-called", 'def never\n  gem "x", git: "u"\nend\ngem "y"\n'),
    ("send", 'send :gem, "x", git: "https://h/x"\n'),
    ("self", 'self.gem "x", git: "https://h/x"\n'),
    ("eval", "instance_eval 'gem \"x\", git: \"https://h/x\"'\n"),
    ("with", '[:x].each { |n| send(:gem, n.to_s, git: "https://h/x") }\n'),
    ("eval-gemfile", 'eval_gemfile "common.rb"\ngem "y"\n'),
    ("eval-dir", 'eval_gemfile File.join(__dir__, "common.rb")\n'),
    ("eval-expand", 'eval_gemfile File.expand_path("common.rb", __dir__)\n'),
    ("eval-here", 'eval_gemfile "#{__dir__}/common.rb"\n'),
    ("eval-below", 'eval_gemfile "gemfiles/a.rb"\n'),
    ("eval-glob", 'Dir["gemfiles/*.rb"].sort.each { |file| eval_gemfile file }\n'),
    ("gemspec", 'gemspec\ngem "x", github: "t/x"\n'),
    ("gemspec-path", 'gemspec path: ".", name: "app"\n'),
    ("lines", 'gem "x", # the one\n    "~> 1.0",\n\n    # why\n    git: "u", # here\n    require: false\n'),
    ("lines-2", 'gem(\n  "x",\n  "~> 1.0",\n  git: "https://h/x.git",\n)\n'),
    ("continued", 'gem "x", \\\n  git: "https://h/x.git"\ngem \\\n  "y"\n'),
    ("requirements", 'gem "x", ">= 1", "< 3", github: "t/x"\ngem "y", ["> 1", "< 3"]\n'),
    ("comments", '# gem "z", git: "u"\ngem "x", github: "t/x" # gem "w"\n'),
    ("begin-end", '=begin\ngem "z", git: "u"\n=end\ngem "x", github: "t/x"\n'),
    ("data", 'gem "x", github: "t/x"\n__END__\ngem "z", git: "u"\n'),
    ("semicolons", 'gem "y"; gem "x", github: "t/x"; gem "w"\n'),
    ("begin-rescue", 'begin\n  gem "x", github: "t/x"\nrescue LoadError\n  gem "y"\nend\n'),
    ("string-decoy", 'puts "gem \\"z\\"" if false\ngem "x", github: "t/x"\n'),
    ("ruby-file", 'ruby file: ".ruby-version"\ngem "x", github: "t/x"\n'),
    ("ruby", 'ruby ">= 2.0"\ngem "x", github: "t/x"\n'),
    ("plugin", 'gem "x", github: "t/x"\ngem "plugin"\n'),
    ("symbols", 'gem :x, github: "t/x"\n'),
    ("constant", 'GEMS = "x"\ngem GEMS, github: "t/x"\n'),
    ("shorthand", 'git = "https://h/x"\ngem "x", git:\n'),
    ("escape", 'gem "\\x78", github: "t/x"\n'),
    ("concat", 'gem "x" "y", github: "t/x"\n'),
    ("frozen", '# frozen_string_literal: true\ngem "x".freeze, github: "t/x"\n'),
    ("tap", 'gem("x", github: "t/x").tap { |_| gem "y" }\n'),
    ("glob", 'gem "x", git: "https://h/x", glob: "*.gemspec", submodules: true\n'),
    ("inner-group", 'group :a do\n  group :b do\n    gem "x", github: "t/x"\n  end\nend\n'),
    ("alias-block", 'git "https://h/x" do |repo|\n  repo.gem "x" if false\n  gem "x"\nend\n'),
    ("path-inline", 'path "engines" do gem "x"; gem "y" end\n'),
    ("def-missing", 'gem("x", github: "t/x") do\nend\n'),
    ("tabs", 'git "https://h/x" do\n\tgem "x"\n\tgem "y"\nend\n'),
    ("unicode", '# Ünïcödé: жук\ngem "x", github: "t/x" # é\n'),
)  # fmt: skip
_AROUND = (
    "{}",
    "group :out do\n{}\nend\n",
    "if true\n{}\nend\n",
    "begin\n{}\nend\n",
    'source "https://other.h" do\n{}\nend\n',
)
_ENDS = (b"\n", b"\r\n")
_HEADS = (b"", b"\xef\xbb\xbf", b"# encoding: iso-8859-1\n# caf\xe9\n", b"# caf\xe9 without a word about it\n")
_EVALUATED = {
    "common.rb": b'gem "x", github: "t/x"\neval_gemfile "gemfiles/a.rb"\n',
    "gemfiles/a.rb": b'gem "from-a"\n',
    ".ruby-version": b"3.1.2\n",
    "app.gemspec": b'Gem::Specification.new { |s| s.name = "app"; s.version = "1"; s.summary = "-" }\n',
}


def _variants() -> list[tuple[str, Files]]:
    """Every shape in each line end and encoding, and pairs of shapes within each other, a fixed choice of them."""
    some = random.Random(7)
    texts = [(name, text) for name, text in _SHAPES]
    for (one, first), (two, second) in some.sample(list(itertools.permutations(_SHAPES, 2)), 300):
        if not {"data", "with-options"} & {one, two}:
            texts.append((f"{one} in {two}", some.choice(_AROUND).format(first) + second))
    found: list[tuple[str, Files]] = []
    for name, text in texts:
        for end, head in itertools.product(_ENDS, _HEADS) if " in " not in name else [(some.choice(_ENDS), b"")]:
            content = head + b'source "https://rubygems.org"\n' + text.encode()
            label = f"{name} {end!r} {head[:12]!r}"
            found.append((label, {**_EVALUATED, "Gemfile": content.replace(b"\n", end)}))
    return found


def _evaluated(folder: Path, all_files: list[Files]) -> list[Any]:
    """What the real Bundler makes of each."""
    folders: list[str] = []
    for index, files in enumerate(all_files):
        for path, content in files.items():
            (place := folder / str(index) / path).parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        folders.append(str(folder / str(index)))
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    argv = ["ruby", "-W0", "-e", _RUBY]
    done = subprocess.run(argv, cwd=folder, env=env, input=json.dumps(folders), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout[done.stdout.index("[") :])


def test_no_gemfile_is_read_otherwise_than_bundler_reads_it_or_pinned_to_something_else(tmp_path: Path):
    wrong: list[str] = []
    variants = _variants()
    first = _evaluated(tmp_path / "first", [files for _, files in variants])
    changed: list[tuple[str, Files, dict[str, Any]]] = []
    unread: dict[str, str] = {}
    for (label, files), real in zip(variants, first, strict=True):
        if isinstance(real, str):
            unread[label] = f"Bundler refuses it: {real[:60]}"
            continue
        try:
            reading = read_gemfile(files, "Gemfile")
        except Refused as refused:
            unread[label] = str(refused)
            continue
        ours: dict[str, set[bool]] = {}
        for call in reading.calls:
            ours.setdefault(call.name, set()).add(call.by_reference)
        odd = {call.name for call in reading.calls if call.oddity}
        unknown = bool(reading.unread)
        for name, rows in real.items():
            if name not in ours:
                if not unknown and not (name == "app" and b"gemspec" in files["Gemfile"]):
                    wrong.append(f"{label}: {name} is not seen")
            elif any(row[1] not in ours[name] for row in rows) and name not in odd:
                wrong.append(f"{label}: {name} comes from elsewhere for Bundler: {rows}, for us: {ours[name]}")
        if "x" not in ours or "x" not in real:
            unread[label] = "x is not there"
            continue
        try:
            after = pinned(files, "Gemfile", {"x": "2.0"})
        except Refused as refused:
            unread[label] = str(refused)
            continue
        again = pinned({**files, **after}, "Gemfile", {"x": "2.0"})
        if again:
            wrong.append(f"{label}: pinning it twice is not pinning it once")
        changed.append((label, {**files, **after}, real))
    second = _evaluated(tmp_path / "second", [files for _, files, _ in changed])
    for (label, files, before), after in zip(changed, second, strict=True):
        text = files["Gemfile"].decode("latin-1")
        if isinstance(after, str) and "same gem twice" in after:
            unread[label] = "Bundler refuses x twice: from two registries, or also where only Ruby can tell"
            continue
        if isinstance(after, str):
            wrong.append(f"{label}: Bundler no longer reads it: {after}\n{text}")
            continue
        for row in after.get("x", [[]]):
            if row[:2] != ["= 2.0", False]:
                wrong.append(f"{label}: x is {row}\n{text}")
        if sorted(json.dumps(row[2:]) for row in after["x"]) != sorted(json.dumps(row[2:]) for row in before["x"]):
            wrong.append(f"{label}: options of x were {before['x']}, are {after['x']}\n{text}")
        if {**after, "x": 0} != {**before, "x": 0}:
            wrong.append(f"{label}: others changed, from {before} to {after}\n{text}")
    assert not wrong, f"{len(wrong)} of {len(variants)}\n" + "\n".join(wrong[:12])
    assert len(changed) > len(variants) / 2, sorted(unread.items())
