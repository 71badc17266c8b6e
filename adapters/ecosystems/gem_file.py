"""What a .gem says of itself: the specification in its metadata.gz, which is YAML with the tags of Ruby.

Tags are passed over and nothing is ever constructed, so a file cannot run anything here; Ruby is not needed, either.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import yaml

from adapters.ecosystems.gem_versions import compare_versions
from adapters.ecosystems.unpacking import gunzipped, untarred
from core.errors import Reason, Refused
from core.ports import Declared, Required

_AGAIN = "then release prepare"
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
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
    spec = _Ruby(_composed(gunzipped(texts["metadata.gz"], file.name), file.name))
    name, version = spec.text("name"), spec.child("version").text("version")
    platform = spec.text("platform", "ruby")
    problems = list[Reason]()
    if file.name != "-".join([name, version, *([platform] if platform != "ruby" else [])]) + ".gem":
        what = f"{file.name} says that it is {name or 'nothing'} {version}"
        problems.append(Reason(what, "no index takes a file that bears another name", f"mend the gemspec, {_AGAIN}"))
    if not compare_versions(version, "0"):
        why = f"{version or 'none'} is what a build makes of itself when it finds no version"
        problems.append(Reason(f"{file.name} has no version", why, f"give it one, {_AGAIN}"))
    allowed = spec.child("metadata").text("allowed_push_host")
    if allowed and allowed.rstrip("/") != host.rstrip("/"):
        next_ = f"correct allowed_push_host in the gemspec, or ecosystems.rubygems.host, {_AGAIN}"
        problems.append(Reason(f"{file.name} may not be pushed to {host}", f"it allows only {allowed}", next_))
    problems += untarred(io.BytesIO(texts["data.tar.gz"]), file.name, lambda path: False).problems
    if problems:
        raise Refused.all(problems)
    return Declared(name=name, version=version, requires=tuple(sorted({_required(one) for one in _runtime(spec)})))


class _Ruby:
    """A node of the YAML, whatever its tag; what is not there is blank."""

    def __init__(self, node: yaml.Node | None) -> None:
        self._node = node

    def child(self, key: str) -> _Ruby:
        node = self._node
        pairs = cast("list[tuple[yaml.Node, yaml.Node]]", node.value) if isinstance(node, yaml.MappingNode) else []
        return _Ruby(next((value for name, value in pairs if name.value == key), None))

    def items(self) -> list[_Ruby]:
        node = self._node
        return (
            [_Ruby(one) for one in cast("list[yaml.Node]", node.value)] if isinstance(node, yaml.SequenceNode) else []
        )

    def text(self, key: str = "", default: str = "") -> str:
        node = self.child(key)._node if key else self._node
        return str(node.value) if isinstance(node, yaml.ScalarNode) and node.value else default


def _composed(text: bytes, file: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"the specification in {file} cannot be read", str(error), f"build it anew, {_AGAIN}") from None


def _runtime(spec: _Ruby) -> list[_Ruby]:
    """What is needed to use it; development dependencies are for those who work on it."""
    return [one for one in spec.child("dependencies").items() if one.text("type", ":runtime") != ":development"]


def _required(dependency: _Ruby) -> Required:
    pairs = [one.items() for one in dependency.child("requirement").child("requirements").items()]
    terms = [f"{sign.text()} {version.text('version')}" for sign, version in pairs]
    return Required(dependency.text("name"), ", ".join(terms) if terms != [_ANY] else "")
