"""What a .gem says of itself: the specification in its metadata.gz, read without Ruby."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from adapters.ecosystems.gem_versions import compare_versions
from adapters.ecosystems.ruby_yaml import Tree, read
from adapters.ecosystems.unpacking import gunzipped, untarred
from core.errors import Reason, Refused
from core.ports import Declared, Required

_AGAIN = "then release prepare"
_ANY = ">= 0"
_PARTS = {"metadata.gz", "data.tar.gz", "checksums.yaml.gz"}


def declared(files: Sequence[Path], host: str) -> Declared:
    """What the one gem of a build says; Refused with every problem. `host`: where it is going to be pushed."""
    if len(files) != 1:
        why = f"it made {', '.join(file.name for file in files) or 'none'}"
        raise Refused("a build makes one gem", why, f"mend the gemspec, {_AGAIN}")
    [file] = files
    with file.open("rb") as opened:
        texts = untarred(opened, file.name, _PARTS.__contains__).texts
    if lacks := sorted(_PARTS - texts.keys()):
        raise Refused(f"{file.name} is no whole gem", f"it lacks {', '.join(lacks)}", f"build it anew, {_AGAIN}")
    spec = read(gunzipped(texts["metadata.gz"], file.name), file.name)
    name, version, platform = _text(spec, "name"), _text(spec, "version", "version"), _text(spec, "platform") or "ruby"
    problems = list[Reason]()
    if file.name != "-".join([name, version, *([platform] if platform != "ruby" else [])]) + ".gem":
        what = f"{file.name} says that it is {name or 'nothing'} {version}"
        problems.append(Reason(what, "no index takes a file that bears another name", f"mend the gemspec, {_AGAIN}"))
    if not compare_versions(version, "0"):
        why = f"{version or 'none'} is what a build makes of itself when it finds no version"
        problems.append(Reason(f"{file.name} has no version", why, f"give it one, {_AGAIN}"))
    allowed = _text(spec, "metadata", "allowed_push_host")
    if allowed and allowed.rstrip("/") != host.rstrip("/"):
        next_ = f"correct allowed_push_host in the gemspec, or ecosystems.rubygems.host, {_AGAIN}"
        problems.append(Reason(f"{file.name} may not be pushed to {host}", f"it allows only {allowed}", next_))
    problems += untarred(io.BytesIO(texts["data.tar.gz"]), file.name, lambda path: False).problems
    if problems:
        raise Refused.all(problems)
    return Declared(name=name, version=version, requires=_requires(spec))


def _at(tree: Tree, *path: str) -> Tree:
    """What stands there; blank where nothing does."""
    for key in path:
        tree = tree.get(key, "") if isinstance(tree, dict) else ""
    return tree


def _text(tree: Tree, *path: str) -> str:
    found = _at(tree, *path)
    return found if isinstance(found, str) else ""


def _items(tree: Tree, *path: str) -> list[Tree]:
    found = _at(tree, *path)
    return found if isinstance(found, list) else []


def _requires(spec: Tree) -> tuple[Required, ...]:
    """What is needed to use it; development dependencies are for those who work on it."""
    runtime = [one for one in _items(spec, "dependencies") if _text(one, "type") != ":development"]
    return tuple(sorted({Required(_text(one, "name"), _range(one)) for one in runtime}))


def _range(dependency: Tree) -> str:
    pairs = [_items(one) for one in _items(dependency, "requirement", "requirements")]
    terms = [" ".join(_text(word) or _text(word, "version") for word in pair) for pair in pairs]
    return ", ".join(terms) if terms != [_ANY] else ""
