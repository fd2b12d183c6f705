"""The only place that syncs, renames and removes: whole files or none, and one writer at a time.

A file is written aside, synced, renamed, and its folder synced; a reader of the folder sees whole files only.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import itertools
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from stat import S_IMODE
from types import BuiltinFunctionType
from typing import Any, Final

from replaylab.errors import ReplayLabError, SourceNotFound, StoreBusy, StoreFull, StoreUnwritable
from replaylab.urls import URL, file_path, without_secrets


def _module(name: str) -> Any:
    """Return a module that not every platform has; None where it is not."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


fcntl = _module("fcntl")  # not on Windows
msvcrt = _module("msvcrt")  # only there
_CLOEXEC: Final = getattr(os, "O_CLOEXEC", 0)
OPENED: Final = _CLOEXEC | getattr(os, "O_BINARY", 0)  # the second on Windows alone, as the first is not there
NO_WAITING: Final = getattr(os, "O_NONBLOCK", 0)  # a pipe in the place of a file must not block; not on Windows

_PRIVATE_FILE: Final = 0o600
_PRIVATE_FOLDER: Final = 0o700
ASIDE: Final = ".aside"  # ending of a file that is still being written
LOCK_FILE: Final = ".lock"  # of the one that converts into a folder or compacts it
PATIENCE_SECONDS: Final = 2.0
_ASK_AGAIN_SECONDS: Final = 0.05
_ENDING: Final = 4  # PF_EXITING, among the flags of a process
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


_asides = itertools.count()


def of_user(path: str | os.PathLike[str], refused: type[ReplayLabError] = SourceNotFound) -> Path:
    """Return a path that a caller gave, `~` being the home of the user: Python does not read it, as a shell does.

    A ``file://`` URL is a path too. Every other URL raises `refused`, without what may be secret in it: taken as a path
    it would be a folder that is called by its password.

    Examples
    --------
    >>> of_user("~/games") == Path.home() / "games", of_user("a/~b").as_posix()
    (True, 'a/~b')
    """
    text = os.fsdecode(path)
    if (local := file_path(text)) is not None:
        return Path(local)
    if URL.fullmatch(text):
        raise refused(f"{without_secrets(text)}: pass a path of this machine, no URL; copy the files there or back")
    return Path(os.path.expanduser(path))  # noqa: PTH111 `Path.expanduser` raises where there is no such user


@contextmanager
def written_aside(folder: Path, label: str) -> Iterator[Path]:
    """Yield a path to write to that no reader sees; the file is removed on leaving unless `publish` has moved it.

    Raises
    ------
    StoreFull, StoreUnwritable
        For every error of the operating system while the file is being written.
    """
    aside = folder / f"{label}-{next(_asides)}.{_host()}-{os.getpid()}{ASIDE}"  # of this call alone
    try:
        with storing(folder):
            yield aside
    finally:
        with suppress(OSError):  # gone by `publish`, or never made
            aside.unlink()


def publish(aside: Path, final: Path, *, private: bool = False) -> None:
    """Make a file that was written aside permanent under its final name, in that order: bytes, name, folder.

    A `private` one can be read by its owner alone.
    """
    with storing(final.parent):
        if private:
            aside.chmod(_PRIVATE_FILE)
        sync_file(aside)
        aside.replace(final)
        sync_folder(final.parent)


def publish_new(aside: Path, final: Path) -> bool:
    """Make a private file permanent, unless there is one of that name; return whether it was made."""
    with storing(final.parent):
        aside.chmod(_PRIVATE_FILE)
        sync_file(aside)
        try:
            final.hardlink_to(aside)
        except FileExistsError:
            return False
        sync_folder(final.parent)
    return True


def make_private(folder: Path) -> None:
    """Close a folder to all but its owner."""
    if os.name == "posix":
        with storing(folder):
            folder.chmod(_PRIVATE_FOLDER)


def is_private(folder: Path) -> bool:
    """Whether only the owner of a folder can look into it."""
    return os.name == "posix" and not S_IMODE(folder.stat().st_mode) & 0o077


def put_in_place(aside: Path, final: Path) -> None:
    """Rename a file that was written aside without syncing it: readers see it whole, a power cut may cost it."""
    with storing(final.parent):
        aside.replace(final)


def sync_file(path: Path) -> None:
    """Make the bytes of a file permanent; a failure is final for this file and is never tried again on it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(path: Path, *, private: bool = False) -> int:
    """Make a file that was not there, to be appended to; give its descriptor. Raises `FileExistsError`.

    Only its owner can read it when it is `private`, or its folder is.
    """
    mode = _PRIVATE_FILE if private or is_private(path.parent) else 0o666
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_RDWR | _CLOEXEC, mode)


def sync(descriptor: int) -> None:
    """Make what was written to an open file permanent; a failure is final for this file and is never tried again."""
    os.fsync(descriptor)


def is_fsync_plain() -> bool:
    """Whether `os.fsync` is that of Python: a tracer or a test that replaced it is called for each sync."""
    return isinstance(os.fsync, BuiltinFunctionType)


def cut(descriptor: int, size: int) -> None:
    """Take away what stands behind the first `size` bytes of an open file."""
    os.ftruncate(descriptor, size)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder permanent; Windows, which opens no folders, does so by itself."""
    if os.name == "posix":
        sync_file(folder)


def make_folders(*folders: Path, private: bool = False) -> None:
    """Make folders that are not there yet, permanently; `private` ones are open to their owner alone."""
    for folder in folders:
        with storing(folder):
            for made in [*reversed(folder.parents), folder]:
                if made.is_dir():
                    continue
                try:
                    made.mkdir(_PRIVATE_FOLDER if private else 0o777)
                except FileExistsError:  # another thread or process may have made it since
                    if not made.is_dir():
                        raise StoreUnwritable(f"{made} is a file; name a folder, or remove the file") from None
                sync_folder(made.parent)


def remove(paths: list[Path]) -> None:
    """Remove files that are no longer needed; one that is already gone is no error."""
    for path in paths:
        with storing(path.parent):
            path.unlink(missing_ok=True)
    for folder in {path.parent for path in paths}:
        with storing(folder):
            sync_folder(folder)


def sweep(folder: Path) -> None:
    """Remove what writers of this machine that no longer run have left half-written in a folder.

    Those of another machine, which may share the disk, are left to that one.
    """
    abandoned = [path for path in folder.glob(f"*{ASIDE}") if _is_abandoned(path.name)]
    remove(abandoned) if abandoned else None


def _is_abandoned(name: str) -> bool:
    """Whether a writer of this machine has left a file of this name; one that names no machine is its own."""
    host, _, process = name.split(".")[-2].rpartition("-")
    return host in {"", _host()} and not _is_running(process)


@cache
def _host() -> str:
    """Return a digest of the name of this machine."""
    return hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()


def _is_running(process: str) -> bool:
    """Whether a process runs; one that is ending, or waits for its parent to hear of it, does not."""
    if not process.isdecimal():
        return False
    try:
        stat = Path("/proc", process, "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False
    state, *fields = stat.rpartition(b")")[2].split()
    return state not in {b"Z", b"X"} and not int(fields[5]) & _ENDING  # as in proc(5): state, ..., flags


def free_bytes(folder: Path) -> int:
    """Return how many bytes may still be written to the disk of a folder."""
    return shutil.disk_usage(folder).free


@contextmanager
def storing(place: Path) -> Iterator[None]:
    """Turn errors of the operating system into `StoreFull` or `StoreUnwritable`, which name the place."""
    try:
        yield
    except ReplayLabError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise StoreFull(
                error.errno,
                f"no space left to write in {place}; what was stored before is intact. Free some space and run again",
            ) from error
        raise StoreUnwritable(error.errno, f"cannot write in {place}: {error.strerror or error}") from error


@contextmanager
def sole_writer(folder: Path, patience_seconds: float = PATIENCE_SECONDS) -> Iterator[int]:
    """Hold a folder's lock, so that one process at a time converts into it or compacts it; it ends with the process.

    Gives the descriptor of the lock: a process that inherits it holds the lock as well. A lock that is held is asked
    for again for a while, as helpers of a process that was just killed take a moment to die.

    Raises
    ------
    StoreBusy
        When another process, or another thread of this one, holds it.
    """
    with storing(folder):
        mode = _PRIVATE_FILE if is_private(folder) else 0o666
        lock = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | _CLOEXEC, mode)
    try:
        deadline = time.monotonic() + patience_seconds
        while not try_lock(lock):
            if time.monotonic() > deadline:
                raise StoreBusy(
                    f"another conversion or compaction is running on {folder}; run this again when it has ended"
                )
            time.sleep(_ASK_AGAIN_SECONDS)
        yield lock
    finally:
        os.close(lock)


def _lock_now(descriptor: int) -> None:
    """Lock an open file, or raise: by flock, or as Windows does it."""
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)


def is_being_written(folder: Path) -> bool:
    """Return whether a conversion or compaction holds the lock of a folder now; False where that cannot be asked."""
    return is_locked(folder / LOCK_FILE)


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock of a file now; False where that cannot be asked.

    Asking takes a shared lock for a moment, so a process that fails to get the lock just then has to ask again.
    """
    if fcntl is None:
        return False  # a lock of Windows cannot be asked for without taking it
    try:
        lock = os.open(path, os.O_RDONLY | _CLOEXEC)
    except OSError:
        return False  # nothing was ever written here, or it may not be read
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(lock)
    return False


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file, which ends with the process; False when another process holds it.

    Raises OSError where a file system has no locks: without them a live writer cannot be distinguished from a dead one.
    """
    if fcntl is None and msvcrt is None:
        raise StoreUnwritable(
            errno.ENOSYS, f"Python has no file locks on this platform ({sys.platform}): stores can only be read here"
        )
    try:
        _lock_now(descriptor)
    except (BlockingIOError, PermissionError):  # the second is what Windows says
        return False
    except OSError as error:
        if error.errno in _NO_LOCKS:
            problem = "this file system has no file locks; keep the store on one that has, or mount it with locks"
            raise OSError(error.errno, f"{problem} ({error.strerror})") from error
        raise
    return True


def usable_cores() -> int:
    """Return how many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS, nor on Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def leads_to(path: Path, descriptor: int) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return False


def keep_room(path: Path, size: int) -> None:
    """Take room on the disk that `remove` gives back when it is needed most."""
    mode = _PRIVATE_FILE if is_private(path.parent) else 0o666
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | _CLOEXEC, mode)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, size)
        else:  # zeros take the same room
            for start in range(0, size, 1 << 20):
                os.write(descriptor, bytes(min(1 << 20, size - start)))
    finally:
        os.close(descriptor)
