"""What the name of a host says about it."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, as far as its name tells."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
