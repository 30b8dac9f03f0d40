"""How much of a file is in the page cache, and giving it back: Linux only, and without changing the file.

`cachestat` (Linux 6.5) counts the pages of a file by state. Older kernels have `mincore`, which knows only which pages
are there, and since Linux 5.2 tells the truth only to those who own the file or may write to it.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from pathlib import Path
from typing import NamedTuple

PAGE_BYTES = mmap.PAGESIZE
#: the same number on every architecture (asm-generic/unistd.h)
_NR_CACHESTAT = 451
_SYNC_FILE_RANGE_ALL = 1 | 2 | 4  # wait before, write, wait after (sync_file_range(2))
#: what mincore looks at in one call
_WINDOW_BYTES = 256 * 2**20

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
_libc.sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]


class _Range(ctypes.Structure):
    _fields_ = (("off", ctypes.c_uint64), ("len", ctypes.c_uint64))


class _Stat(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in ("cache", "dirty", "writeback", "evicted", "recently_evicted"))


class Cached(NamedTuple):
    """Bytes of a file in the page cache; dirty and writeback are parts of resident, None where only mincore is."""

    resident_bytes: int
    dirty_bytes: int | None
    writeback_bytes: int | None


def cached(path: Path) -> Cached | None:
    """What of a file is in the page cache; None where the kernel does not tell us."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        told = _cachestat(fd)
        return told if told is not None else _mincore(fd)
    except OSError:
        return None
    finally:
        os.close(fd)


def drop(fd: int, begin: int, end: int) -> None:
    """Write the range out and let all pages up to its end go, whoever wrote them: the cache is the file's.

    Waits until the disk has the range. Raises OSError.
    """
    # pages that are dirty are not let go of (posix_fadvise(2)): they are written first
    if _libc.sync_file_range(fd, begin, end - begin, _SYNC_FILE_RANGE_ALL):
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ESPIPE, errno.ENOSYS):
            raise OSError(number, os.strerror(number))
        os.fdatasync(fd)
    # from the beginning: the kernel keeps pages in lumps, and leaves a lump that reaches beyond the range
    os.posix_fadvise(fd, 0, end, os.POSIX_FADV_DONTNEED)


def _cachestat(fd: int) -> Cached | None:
    stat = _Stat()
    whole = _Range(0, 0)  # to the end
    if _libc.syscall(_NR_CACHESTAT, fd, ctypes.byref(whole), ctypes.byref(stat), 0):
        return None
    return Cached(stat.cache * PAGE_BYTES, stat.dirty * PAGE_BYTES, stat.writeback * PAGE_BYTES)


def _mincore(fd: int) -> Cached | None:
    facts = os.fstat(fd)
    if facts.st_uid != os.geteuid() and not os.access(f"/proc/self/fd/{fd}", os.W_OK):
        return None  # the kernel would say that everything is there
    pages = 0
    for begin in range(0, facts.st_size, _WINDOW_BYTES):
        length = min(_WINDOW_BYTES, facts.st_size - begin)
        # mapped by hand: the mmap module gives no address of a read-only map. Mapping reads nothing.
        address = _libc.mmap(None, length, mmap.PROT_READ, mmap.MAP_SHARED, fd, begin)
        if address in (None, ctypes.c_void_p(-1).value):
            return None
        try:
            vector = (ctypes.c_ubyte * -(-length // PAGE_BYTES))()
            if _libc.mincore(address, length, vector):
                return None
            pages += sum(page & 1 for page in bytes(vector))
        finally:
            _libc.munmap(address, length)
    return Cached(min(pages * PAGE_BYTES, -(-facts.st_size // PAGE_BYTES) * PAGE_BYTES), None, None)
