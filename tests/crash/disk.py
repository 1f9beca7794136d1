"""What a disk may hold after a power cut: a model of files and folders that is fed with the system calls of a process.

Only what was synced is sure: a write when its file was synced after it, a name (made, renamed, removed) when its folder was. Of
the rest anything may be there: all of it, nothing, the names without the data, the data without the names, a torn last write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    State = Mapping[str, bytes | None]
    """Path below the root -> content of a file, or None for a folder."""

CALLS: tuple[str, ...] = (
    "openat",
    "creat",
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "ftruncate",
    "truncate",
    "fsync",
    "fdatasync",
)
CALLS += (
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
    "lseek",
    "close",
)
"""System calls that the model knows, or refuses when they concern its files."""

NETWORK = ("sendto", "recvfrom")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that succeeded.

    Attributes:
        name: Of the call.
        arguments: As strace writes them.
        result: What it returned.
    """

    name: str
    arguments: tuple[str, ...]
    result: int

    def number(self, place: int) -> int:
        """An argument that is a number, or a file descriptor without its path."""
        return int(self.arguments[place].partition("<")[0])

    def content(self, place: int) -> bytes:
        """An argument that is a string; an address, of which strace does not say what is there, is empty."""
        text = self.arguments[place]
        return _unescaped(text.strip('"')) if text.startswith('"') else b""

    def path(self, place: int, folder: int | None = None) -> str:
        """An argument that is a path; `folder` is the argument with the folder that it is relative to."""
        path = self.content(place).decode()
        if path.startswith("/") or folder is None:
            return path
        inside = self.arguments[folder].partition("<")[2].rstrip(">")
        return f"{_unescaped(inside).decode()}/{path}"


def _unescaped(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


_LINE = re.compile(r"(?P<pid>\d+) +(?P<rest>.*)")
_WHOLE = re.compile(r"(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")


def calls(log: str) -> Iterator[Call]:
    """The calls of a log that `strace -f -y -xx` wrote, in the order in which they ended; failed ones are left out."""
    begun: dict[str, str] = {}
    for line in log.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        pid, rest = found["pid"], found["rest"]
        if rest.endswith("<unfinished ...>"):
            begun[pid] = rest.removesuffix("<unfinished ...>")
            continue
        if rest.startswith("<... "):
            rest = begun.pop(pid, "") + rest.partition("resumed>")[2]
        whole = _WHOLE.match(rest)
        if whole is not None and int(whole["result"]) >= 0:
            yield Call(whole["name"], tuple(one.strip() for one in whole["arguments"].split(", ")), int(whole["result"]))


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes at a place, or a new length."""

    offset: int
    data: bytes | None = None

    def onto(self, content: bytearray) -> None:
        """Change the content."""
        end = self.offset + len(self.data or b"")
        if self.data is None:
            del content[self.offset :]
        content.extend(b"\0" * (end - len(content)))
        content[self.offset : end] = self.data or b""

    @property
    def torn(self) -> Write:
        """Only its first half arrived."""
        return self if self.data is None else Write(self.offset, self.data[: len(self.data) // 2])


@dataclass(eq=False, slots=True)
class File:
    """A file: what is surely on disk, and the writes since."""

    kept: bytes = b""
    pending: list[Write] = field(default_factory=list)

    def content(self, writes: Sequence[Write] | None = None) -> bytes:
        """The content when these writes arrived (all by default)."""
        if not (self.pending if writes is None else writes):
            return self.kept
        content = bytearray(self.kept)
        for write in self.pending if writes is None else writes:
            write.onto(content)
        return bytes(content)

    @property
    def torn(self) -> list[Write]:
        """The writes, of the last one only a part."""
        return [*self.pending[:-1], *(write.torn for write in self.pending[-1:])]

    def sync(self) -> None:
        """Everything is on disk."""
        self.kept, self.pending = self.content(), []


@dataclass(eq=False, slots=True)
class Folder:
    """A folder: the names that are surely on disk, and the changes since, each of which happens whole or not."""

    kept: dict[str, Node] = field(default_factory=dict)
    pending: list[dict[str, Node | None]] = field(default_factory=list)

    def names(self, count: int | None = None) -> dict[str, Node]:
        """The names when the first `count` changes arrived (all by default)."""
        names: dict[str, Node | None] = dict(self.kept)
        for change in self.pending[:count]:
            names |= change
        return {name: node for name, node in names.items() if node is not None}

    def sync(self) -> None:
        """Everything is on disk."""
        self.kept, self.pending = self.names(), []


Node = File | Folder


@dataclass(slots=True)
class _Opened:
    node: Node
    position: int = 0
    append: bool = False


class Disk:
    """Everything below one folder, which is there and surely on disk.

    Args:
        root: The folder; what it holds when the model is made is surely on disk.
        without: Names of files and folders, anywhere in it, that are left out.
    """

    def __init__(self, root: Path, without: Sequence[str] = ()) -> None:
        self._root = str(root)
        self._without = frozenset(without)
        self._tree = _loaded(root, self._without)
        self._open: dict[int, _Opened] = {}

    def apply(self, call: Call) -> bool:
        """Take a call; whether it changed what may be on disk."""
        return getattr(self, f"_{call.name}", self._ignored)(call) is True

    def states(self) -> Iterator[tuple[str, State]]:
        """What may be there after a power cut now, each with a name that says what was lost."""
        files = [node for node in self._nodes() if isinstance(node, File) and node.pending]
        folders = [node for node in self._nodes() if isinstance(node, Folder) and node.pending]
        everything, nothing = _keeping(), _keeping(lambda _node: [], lambda _node: 0)
        yield "all that was not synced", self._state(nothing)
        yield "nothing", self._state(everything)
        yield "data", self._state(_keeping(lambda _node: []))
        yield "names", self._state(_keeping(None, lambda _node: 0))
        yield (
            "half of each last write",
            self._state(_keeping(lambda node: [*node.pending[:-1], *(w.torn for w in node.pending[-1:])])),
        )
        yield "all writes but each last one", self._state(_keeping(lambda node: node.pending[-1:]))
        for file in files if len(files) > 1 else ():
            yield "one file's data", self._state(_keeping(_Only(file).not_written))
            yield "all data but one file's", self._state(_keeping(_Only(file).written))
        for folder in folders:
            for count in range(len(folder.pending)):
                names = _Only(folder, count).names
                yield "later names", self._state(_keeping(None, names))
                yield "later names and data", self._state(_keeping(lambda _node: [], names))

    def _state(self, keeping: _Keeping) -> State:
        return dict(_walk(self._tree, PurePosixPath(), keeping))

    def _nodes(self) -> Iterator[Node]:
        """Every node that some state can show, once."""
        seen: set[int] = set()
        waiting: list[Node] = [self._tree]
        while waiting:
            node = waiting.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            yield node
            if isinstance(node, Folder):
                waiting += node.kept.values()
                waiting += [one for change in node.pending for one in change.values() if one is not None]

    def _inside(self, path: str) -> PurePosixPath | None:
        """The path below the root, or None when it lies outside."""
        pure = PurePosixPath(path if path.startswith("/") else f"{self._root}/{path}")
        inside = pure.relative_to(self._root) if pure.is_relative_to(self._root) else None
        return None if inside is None or self._without.intersection(inside.parts) else inside

    def _find(self, path: PurePosixPath) -> Node | None:
        node: Node | None = self._tree
        for part in path.parts:
            node = node.names().get(part) if isinstance(node, Folder) else None
        return node

    def _change(self, changes: Mapping[PurePosixPath, Node | None]) -> bool:
        """Change names; those in one folder change at once."""
        folders: dict[PurePosixPath, dict[str, Node | None]] = {}
        for path, node in changes.items():
            folders.setdefault(path.parent, {})[path.name] = node
        for place, change in folders.items():
            folder = self._find(place)
            assert isinstance(folder, Folder), place
            folder.pending.append(change)
        return True

    def _ignored(self, call: Call) -> bool:
        assert call.name in {*NETWORK, "openat", "close", "lseek"} or not any(self._mentions(one) for one in call.arguments), call
        return False

    def _mentions(self, argument: str) -> bool:
        return self._root.encode() in b"".join(map(_unescaped, re.findall(r"(?:\\x[0-9a-f]{2})+", argument)))

    def _openat(self, call: Call) -> bool:
        self._open.pop(call.result, None)
        path = self._inside(call.path(1, 0))
        if path is None:
            return False
        flags = call.arguments[2].split("|")
        node, changed = self._find(path), False
        if node is None:
            assert "O_CREAT" in flags, (call, path)
            node, changed = File(), True
            self._change({path: node})
        elif "O_TRUNC" in flags and isinstance(node, File) and node.content():
            node.pending.append(Write(0))
            changed = True
        self._open[call.result] = _Opened(node, append="O_APPEND" in flags)
        return changed

    def _close(self, call: Call) -> bool:
        self._open.pop(call.number(0), None)
        return False

    def _lseek(self, call: Call) -> bool:
        if call.number(0) in self._open:
            self._open[call.number(0)].position = call.result
        return False

    def _write(self, call: Call) -> bool:
        opened = self._open.get(call.number(0))
        if opened is None:
            return False
        assert isinstance(opened.node, File)
        at = len(opened.node.content()) if opened.append else opened.position
        opened.node.pending.append(Write(at, call.content(1)[: call.result]))
        opened.position = at + call.result
        return True

    def _pwrite64(self, call: Call) -> bool:
        opened = self._open.get(call.number(0))
        if opened is None:
            return False
        assert isinstance(opened.node, File)
        opened.node.pending.append(Write(call.number(3), call.content(1)[: call.result]))
        return True

    def _ftruncate(self, call: Call) -> bool:
        opened = self._open.get(call.number(0))
        if opened is None:
            return False
        assert isinstance(opened.node, File)
        size, length = call.number(1), len(opened.node.content())
        opened.node.pending.append(Write(size) if size <= length else Write(length, b"\0" * (size - length)))
        return True

    def _fsync(self, call: Call) -> bool:
        opened = self._open.get(call.number(0))
        if opened is not None:
            opened.node.sync()
        return opened is not None

    _fdatasync = _fsync

    def _renamed(self, old: str, new: str) -> bool:
        paths = [self._inside(old), self._inside(new)]
        if paths[0] is None or paths[1] is None:
            assert paths == [None, None], (old, new)
            return False
        return self._change({paths[0]: None, paths[1]: self._find(paths[0])})

    def _rename(self, call: Call) -> bool:
        return self._renamed(call.path(0), call.path(1))

    def _renameat(self, call: Call) -> bool:
        return self._renamed(call.path(1, 0), call.path(3, 2))

    _renameat2 = _renameat

    def _removed(self, path: PurePosixPath | None) -> bool:
        return path is not None and self._change({path: None})

    def _unlink(self, call: Call) -> bool:
        return self._removed(self._inside(call.path(0)))

    def _unlinkat(self, call: Call) -> bool:
        return self._removed(self._inside(call.path(1, 0)))

    _rmdir = _unlink

    def _mkdir(self, call: Call) -> bool:
        path = self._inside(call.path(0))
        return path is not None and self._change({path: Folder()})


@dataclass(frozen=True, slots=True)
class _Only:
    """What arrives when one node fares otherwise than the others."""

    node: Node
    count: int = 0

    def written(self, file: File) -> Sequence[Write]:
        return file.pending if file is self.node else []

    def not_written(self, file: File) -> Sequence[Write]:
        return [] if file is self.node else file.pending

    def names(self, folder: Folder) -> int:
        return self.count if folder is self.node else len(folder.pending)


@dataclass(frozen=True, slots=True)
class _Keeping:
    """Which of the pending changes arrive."""

    writes: Callable[[File], Sequence[Write]]
    names: Callable[[Folder], int]


def _keeping(writes: Callable[[File], Sequence[Write]] | None = None, names: Callable[[Folder], int] | None = None) -> _Keeping:
    """All that is not said is kept."""
    return _Keeping(writes or (lambda node: node.pending), names or (lambda node: len(node.pending)))


def _walk(folder: Folder, place: PurePosixPath, keeping: _Keeping) -> Iterator[tuple[str, bytes | None]]:
    for name, node in sorted(folder.names(keeping.names(folder)).items()):
        path = place / name
        if isinstance(node, File):
            yield str(path), node.content(keeping.writes(node))
        else:
            yield str(path), None
            yield from _walk(node, path, keeping)


def _loaded(path: Path, without: frozenset[str]) -> Folder:
    entries = (one for one in path.iterdir() if one.name not in without)
    return Folder({one.name: _loaded(one, without) if one.is_dir() else File(one.read_bytes()) for one in entries})


def write_state(state: State, to: Path) -> None:
    """Make files and folders as a state has them."""
    for path, content in state.items():
        place = to / path
        if content is None:
            place.mkdir(mode=0o700, exist_ok=True)
        else:
            place.write_bytes(content)
            place.chmod(0o600)
