"""Built files kept by the sha256 of their bytes: what ship publishes is what was built for the freeze (spec 5.5)."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from core.errors import Reason, Refused
from core.releases import Artefact

_BUILD_AGAIN = "release prepare builds it again"


class HashShelf:
    """`core.ports.ArtefactShelf` in a folder: one file per content, named by its hash, written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, path: Path) -> Artefact:
        """Copy the file at `path` in; a copy that went bad on the disk is replaced by this one."""
        sha256, size = _copy(path, self._folder)
        return Artefact(path.name, sha256, size)

    def lay_out(self, artefacts: Sequence[Artefact], folder: Path) -> tuple[Path, ...]:
        """Put the files under their names into `folder`; Refused, naming each, when one is missing or went bad."""
        if problems := [reason for artefact in artefacts if (reason := self._problem(artefact))]:
            raise Refused.all(problems)
        for artefact in artefacts:
            _copy(self._folder / artefact.sha256, folder, artefact.filename)
        return tuple(folder / artefact.filename for artefact in artefacts)

    def missing(self, artefacts: Sequence[Artefact]) -> tuple[Artefact, ...]:
        """Those that are not on the shelf; their bytes are looked at only by `lay_out`."""
        return tuple(artefact for artefact in artefacts if not (self._folder / artefact.sha256).is_file())

    def _problem(self, artefact: Artefact) -> Reason | None:
        if Path(artefact.filename).name != artefact.filename:
            return Reason(f"{artefact.filename!r} is no file name", "it would be written elsewhere", _BUILD_AGAIN)
        if self.missing([artefact]):
            return Reason(f"{artefact.filename} is not on the shelf", f"no file {artefact.sha256}", _BUILD_AGAIN)
        with (self._folder / artefact.sha256).open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != artefact.sha256:
            why = f"its bytes hash to {found[:12]}…, frozen was {artefact.sha256[:12]}…"
            return Reason(f"{artefact.filename} went bad on the shelf", why, _BUILD_AGAIN)
        return None


def _copy(source: Path, folder: Path, name: str = "") -> tuple[str, int]:
    """Copy into `folder` under `name`, or under the sha256 of what was read; return that hash and the size."""
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with source.open("rb") as file, tempfile.NamedTemporaryFile(dir=folder, prefix=".new-", delete=False) as new:
        try:
            while piece := file.read(1 << 20):
                digest.update(piece)
                new.write(piece)
            new.flush()
            os.fsync(new.fileno())
            Path(new.name).replace(folder / (name or digest.hexdigest()))
        finally:
            Path(new.name).unlink(missing_ok=True)  # there only where it went wrong
        return digest.hexdigest(), new.tell()
