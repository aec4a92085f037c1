"""Who a process is, as leases name it; whether one that holds a lease still lives; and how this one ends."""

import os
import socket
import sys
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_LAST_MOMENT = 0.5  # seconds that threads get to end by themselves
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Machine:
    """Within what the number of a process means one process: the host, this start of its kernel, the container.

    Hosts may share a name, and outside of containers the namespace has the same number on every Linux: only the kernel's
    boot id tells two machines apart. Empty where the system does not tell.
    """

    host: str
    boot: str
    namespace: str

    @classmethod
    def this_one(cls, *, proc: Path = _PROC) -> Self:
        try:
            boot = (proc / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
            namespace = str((proc / "self/ns/pid").readlink()).strip("pid:[]")
        except OSError:
            boot = namespace = ""
        return cls(socket.gethostname(), boot, namespace)


def name_of_this_process() -> str:
    """A name that no other process has, and by which others on this machine can find out whether it lives."""
    machine, number = Machine.this_one(), os.getpid()
    parts = (machine.host, machine.boot, machine.namespace, number, _begun(number) or "", uuid.uuid4().hex[:8])
    return ":".join(map(str, parts))


def is_gone(name: str, *, machine: Machine | None = None) -> bool:
    """Whether the process of this name is known to have ended. Of other machines and containers nothing is known.

    `machine` is the one that is asked; this one unless said otherwise.
    """
    here = machine or Machine.this_one()
    match name.split(":"):
        case [here.host, here.boot, here.namespace, number, begun, _] if here.boot and begun:
            begun_now = _begun(int(number))
            # Nothing to see may mean that it is hidden from us: the mount option hidepid of proc(5).
            return begun_now != begun if begun_now is not None else not _exists(int(number))
        case _:
            return False


def end_process(code: int) -> None:
    """Exit, also while threads still wait for an answer: what they claimed is found out at the next start.

    Returns where nothing but this thread runs and the code is 0, so that the caller ends by itself.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    ends_at = time.monotonic() + _LAST_MOMENT
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(max(0.0, ends_at - time.monotonic()))
    if threading.active_count() > 1:  # at the end Python waits for the threads of pools, even where they are daemons
        os._exit(code)
    if code:
        raise SystemExit(code)


def _exists(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to somebody else
        pass
    return True


def _begun(number: int) -> str | None:
    """When a process began, as the system counts it: numbers are given out again. None where it cannot be seen.

    Empty for one that has ended and that nobody has asked about yet.
    """
    try:
        status = (_PROC / str(number) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in brackets, may hold anything; the state is the first word after it, the time the 20th.
    words = status.rpartition(")")[2].split()
    return "" if words[0] in {"Z", "X"} else words[19]
