"""Hosts on the public internet. Only these may be named by a published recipe, or by a redirect."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

PRIVATE_NAMES = (
    "localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp", "private", "test", "invalid",
    "example", "onion", "arpa",
)  # fmt: skip
"""Last parts of names that no public server has."""
NAT64 = ip_network("64:ff9b::/96")
"""IPv6 addresses that a gateway translates into the IPv4 address in their last four bytes."""
UNICAST = ip_network("2000::/3")
"""The IPv6 addresses of hosts on the internet. All others are reserved, of one site, or wrap an IPv4 address."""
NOT_PUBLIC = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32", "3fff::/20")))
"""Networks that Python calls global: of protocols, of relays, for documentation, and the host of virtual machines."""
ISATAP = (0x00005EFE, 0x02005EFE)
"""The third four bytes of an IPv6 address that ends with the IPv4 address of a tunnel."""


def url_problem(url: str) -> str | None:
    """Return why a URL is not an https URL of a public host, or None if it can be one; sends no request.

    Args:
        url: The URL. The addresses of a host name are checked when it is connected to.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
    except ValueError as error:
        return str(error)
    if parts.scheme != "https":
        return "its scheme is not https"
    if parts.username is not None or parts.password is not None:
        return "it has a user name or a password"
    if not _is_public_name(host):
        return f"the host {host!r} is not a public one"
    return None


def public_addresses(host: str, port: int) -> list[str]:
    """Return the addresses of a host, or an empty list if any of them is not public. Raises OSError, UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(address[0]) for *_, address in found]
    return addresses if all(map(is_public, addresses)) else []


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet, also if it wraps an IPv4 address."""
    parsed = ip_address(address.partition("%")[0])
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if isinstance(parsed, IPv6Address) and not (parsed in UNICAST or parsed in NAT64):
        return False
    inner = _inner(parsed) if isinstance(parsed, IPv6Address) else []
    return all(each.is_global and not each.is_multicast and not _is_special(each) for each in (parsed, *inner))


def _is_special(address: IPv4Address | IPv6Address) -> bool:
    return any(address in network for network in NOT_PUBLIC)


def _inner(address: IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address wraps."""
    inner = [address.sixtofour, *(address.teredo or ())]
    if address in NAT64 or int(address) >> 32 & 0xFFFFFFFF in ISATAP:
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in inner if each is not None]


def _is_public_name(host: str) -> bool:
    if "." not in host and ":" not in host:
        return False  # a name of the local network, or an IPv4 address as one number
    if host.rpartition(".")[2].lower() in PRIVATE_NAMES:
        return False
    try:
        return is_public(host)
    except ValueError:
        return not _is_odd_ipv4(host)


def _is_odd_ipv4(host: str) -> bool:
    """Return whether a host is an IPv4 address in an unusual notation, such as 0x7f.1, which systems resolve."""
    try:
        socket.inet_aton(host)
    except (OSError, ValueError):
        return False
    return True
