"""What lies in an archive that a stranger's build made: read in one pass, within bounds, and never written anywhere."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Protocol, cast

import msgspec

from core.errors import Reason, Refused

LARGEST_UNPACKED_BYTES = 1 << 30
LARGEST_TEXT_BYTES = 4 << 20
MOST_MEMBERS = 200_000
_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_LARGEST_POINTER_BYTES = 1024
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


class Unpacked(msgspec.Struct, frozen=True):
    """`texts`: path → bytes of the members that were wanted. `problems`: those whose content lies in Git LFS only."""

    texts: dict[str, bytes]
    problems: tuple[Reason, ...]


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def unzipped(file: IO[bytes], name: str, wanted: Callable[[str], bool]) -> Unpacked:
    """The zip archive in `file`; Refused, with `name`, when it is none or goes beyond the bounds."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = ((one.filename, one.file_size, _opening(archive, one)) for one in archive.infolist())
            return _looked_through(members, name, wanted)
    except _BROKEN as error:
        raise _unreadable(name, error) from error


def untarred(file: IO[bytes], name: str, wanted: Callable[[str], bool]) -> Unpacked:
    """The same for a tar archive, zipped with gzip or not."""
    try:
        is_zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream = cast(
            "IO[bytes]", _Bounded(gzip.GzipFile(fileobj=file) if is_zipped else file, name)
        )  # all that tarfile asks of a stream is to be read
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            found = _looked_through(_members(archive), name, wanted)
        while stream.read(1 << 20):  # to its very end, where gzip keeps its checksum
            pass
        return found
    except _BROKEN as error:
        raise _unreadable(name, error) from error


def gunzipped(text: bytes, name: str) -> bytes:
    """What a gzip file holds; Refused when it is none or too large for a text."""
    unpacking = zlib.decompressobj(wbits=31)
    try:
        found = unpacking.decompress(text, LARGEST_TEXT_BYTES)
    except zlib.error as error:
        raise _unreadable(name, error) from error
    if not unpacking.eof:
        raise _unreadable(name, "it is cut off, or too large")
    return found


class _Bounded:
    """A stream that ends with a refusal, not with our memory or our afternoon."""

    def __init__(self, source: _Readable, name: str) -> None:
        self._source, self._name, self._left = source, name, LARGEST_UNPACKED_BYTES

    def read(self, size: int = -1, /) -> bytes:
        piece = self._source.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise _too_large(self._name)
        return piece


Member = tuple[str, int, Callable[[], _Readable | None]]


def _members(archive: tarfile.TarFile) -> Iterator[Member]:
    for one in archive:
        if one.isreg():
            yield one.name, one.size, lambda one=one: archive.extractfile(one)


def _opening(archive: zipfile.ZipFile, one: zipfile.ZipInfo) -> Callable[[], _Readable]:
    return lambda: archive.open(one)


def _looked_through(members: Iterable[Member], name: str, wanted: Callable[[str], bool]) -> Unpacked:
    texts, problems, total = dict[str, bytes](), list[Reason](), 0
    for number, (path, size, opened) in enumerate(members):
        total += size
        if total > LARGEST_UNPACKED_BYTES or number >= MOST_MEMBERS:
            raise _too_large(name)
        if wanted(path):
            if path in texts:
                raise _unreadable(name, f"it holds {path} twice")
            texts[path] = _read(opened(), name, path)
        elif len(_POINTER) < size <= _LARGEST_POINTER_BYTES and _is_pointer(opened()):
            problems.append(_lacking(name, path))
    return Unpacked(texts, tuple(problems))


def _is_pointer(member: _Readable | None) -> bool:
    return member is not None and member.read(len(_POINTER)) == _POINTER


def _read(member: _Readable | None, name: str, path: str) -> bytes:
    largest = LARGEST_UNPACKED_BYTES if path.endswith(".tar.gz") else LARGEST_TEXT_BYTES
    text = member.read(largest + 1) if member else b""
    if len(text) > largest:
        raise _unreadable(name, f"{path} in it is larger than {largest >> 20} MiB")
    return text


def _lacking(name: str, path: str) -> Reason:
    why = f"{path} in it is a pointer to Git LFS, and would be published like this"
    return Reason(f"{name} lacks content", why, "install git-lfs where stationmaster runs, then release prepare")


def _too_large(name: str) -> Refused:
    why = f"more than {LARGEST_UNPACKED_BYTES >> 20} MiB or {MOST_MEMBERS} files come out of it"
    return Refused(f"{name} is too large to look into", why, "leave out what is not meant to be published")


def _unreadable(name: str, why: object) -> Refused:
    return Refused(f"{name} cannot be read", str(why) or type(why).__name__, "mend the build, then release prepare")
