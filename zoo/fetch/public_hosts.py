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
    if isinstance(parsed, IPv6Address):
        return parsed.is_global and not parsed.is_multicast and all(inner.is_global for inner in _inner(parsed))
    return parsed.is_global and not parsed.is_multicast


def _inner(address: IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that an IPv6 address wraps."""
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64 or int(address) < 1 << 32:
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
