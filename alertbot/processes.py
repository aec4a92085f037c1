"""Who a process is, as leases name it, and whether one that holds a lease still lives."""

import os
import socket
import uuid
from pathlib import Path


def name_of_this_process() -> str:
    """A name that no other process has, and by which others on this machine can find out whether it lives."""
    return f"{socket.gethostname()}:{_namespace()}:{os.getpid()}:{_begun(os.getpid())}:{uuid.uuid4().hex[:8]}"


def is_gone(name: str) -> bool:
    """Whether the process of this name is known to have ended. Of other machines and containers nothing is known."""
    host, namespace, number, begun = ([*name.split(":"), "", "", ""])[:4]
    # Containers may share a host's name, and process numbers: without the namespace a living one would be taken for dead.
    if (host, namespace) != (socket.gethostname(), _namespace()) or not number.isdigit():
        return False
    if begun:
        return _begun(int(number)) != begun
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def _namespace() -> str:
    """Within what the numbers of processes mean something; empty where the system does not tell."""
    try:
        return str(Path("/proc/self/ns/pid").readlink()).strip("pid:[]")
    except OSError:
        return ""


def _begun(number: int) -> str:
    """When a process began, as the system counts it: numbers are given out again. Empty where there is none."""
    try:
        told = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
        # The name, in brackets, may hold anything; the state is the first word after it, the time the 20th.
        words = told.rpartition(")")[2].split()
        return "" if words[0] in {"Z", "X"} else words[19]
    except (OSError, IndexError):
        return ""
