"""What the name of a host says about it."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, as far as its name tells."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_in_network(host: str, network: str) -> bool:
    """Whether a host is an address in a network such as 10.0.0.0/8, or that very address. A name is in no network."""
    try:
        address = ipaddress.ip_address(host)
        mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:10.1.2.3 leads to 10.1.2.3
        return (mapped or address) in ipaddress.ip_network(network.strip("[]"), strict=False)
    except ValueError:
        return False
