"""The shelf of built files."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from adapters.shelf import HashShelf
from core.errors import Refused
from core.ports import ArtefactShelf
from core.releases import Artefact


@pytest.fixture
def built(tmp_path: Path) -> Path:
    path = tmp_path / "build" / "widgetry-1.2.0.gem"
    path.parent.mkdir()
    path.write_bytes(b"bytes of a gem")
    return path


def test_what_was_kept_is_laid_out_under_its_name(tmp_path: Path, built: Path) -> None:
    shelf: ArtefactShelf = HashShelf(tmp_path / "shelf")
    artefact = shelf.keep(built)
    built.unlink()
    assert artefact == Artefact("widgetry-1.2.0.gem", hashlib.sha256(b"bytes of a gem").hexdigest(), 14)
    assert shelf.missing([artefact]) == ()
    (laid,) = shelf.lay_out([artefact], tmp_path / "out")
    assert (laid.name, laid.read_bytes()) == ("widgetry-1.2.0.gem", b"bytes of a gem")
    assert shelf.lay_out([artefact], tmp_path / "out") == (laid,)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["widgetry-1.2.0.gem"]


def test_the_same_bytes_twice_are_one_file(tmp_path: Path, built: Path) -> None:
    shelf = HashShelf(tmp_path / "shelf")
    shelf.keep(built)
    shelf.keep(built.rename(built.with_name("other.gem")))
    assert len(list((tmp_path / "shelf").iterdir())) == 1


def test_every_missing_file_is_named_and_nothing_is_laid_out(tmp_path: Path, built: Path) -> None:
    shelf = HashShelf(tmp_path / "shelf")
    there, gone = shelf.keep(built), (Artefact("a.whl", "a" * 64, 1), Artefact("b.tar.gz", "b" * 64, 1))
    assert shelf.missing([there, *gone]) == gone
    with pytest.raises(Refused) as caught:
        shelf.lay_out([there, *gone], tmp_path / "out")
    assert [reason.what for reason in caught.value.reasons] == [
        "a.whl is not on the shelf",
        "b.tar.gz is not on the shelf",
    ]
    assert not (tmp_path / "out").exists()


def test_bytes_that_went_bad_are_never_published_and_a_rebuild_heals_them(tmp_path: Path, built: Path) -> None:
    shelf = HashShelf(tmp_path / "shelf")
    artefact = shelf.keep(built)
    (tmp_path / "shelf" / artefact.sha256).write_bytes(b"bytes of a worm")
    with pytest.raises(Refused) as caught:
        shelf.lay_out([artefact], tmp_path / "out")
    reason = caught.value.reasons[0]
    assert reason.what == "widgetry-1.2.0.gem went bad on the shelf"
    assert artefact.sha256[:12] in reason.why and reason.next
    assert not (tmp_path / "out").exists()
    shelf.keep(built)
    assert shelf.lay_out([artefact], tmp_path / "out")[0].read_bytes() == b"bytes of a gem"


def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, built: Path) -> None:
    shelf = HashShelf(tmp_path / "shelf")
    kept = shelf.keep(built)
    with pytest.raises(Refused, match="no file name"):
        shelf.lay_out([Artefact("../stolen", kept.sha256, kept.size)], tmp_path / "out")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that opens and then cannot be read")
def test_a_copy_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output error"):
        HashShelf(tmp_path / "shelf").keep(Path("/proc/self/mem"))
    assert list((tmp_path / "shelf").iterdir()) == []
