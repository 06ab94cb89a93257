"""Which hosts are public: in every notation of an address, and for names that resolve to private addresses."""

import socket

import pytest

from zoo.fetch.public_hosts import is_public, public_addresses, url_problem

PRIVATE = [
    "127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",  # noqa: S104
    "100.64.0.1",
    "224.0.0.1", "255.255.255.255", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:7f00:1::", "fec0::1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1",
    "5f00::1", "4000::1", "3fff::1", "2001:db8::1", "2600::5efe:7f00:1", "2600::200:5efe:a9fe:a9fe", "ff0e::1",
    "64:ff9b::e000:1", "192.0.0.192", "192.88.99.1", "168.63.129.16",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "151.101.1.6", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_a_local_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


REFUSED = {
    "http://example.org/w.pt": "scheme",
    "ftp://example.org/w.pt": "scheme",
    "file:///etc/passwd": "scheme",
    "https://user@example.org/w.pt": "user name",
    "https://:secret@example.org/w.pt": "user name",
    "https://127.0.0.1@127.0.0.2/w.pt": "user name",
    "https://localhost/w.pt": "not a public one",
    "https://LOCALHOST./w.pt": "not a public one",
    "https://a.localhost/w.pt": "not a public one",
    "https://printer.local/w.pt": "not a public one",
    "https://metadata.google.internal/w.pt": "not a public one",
    "https://intranet/w.pt": "not a public one",
    "https://2130706433/w.pt": "not a public one",
    "https://0x7f000001/w.pt": "not a public one",
    "https://0x7f.1/w.pt": "not a public one",
    "https://127.1/w.pt": "not a public one",
    "https://017700000001/w.pt": "not a public one",
    "https://0177.0.0.1/w.pt": "not a public one",
    "https://127.0.0.1/w.pt": "not a public one",
    "https://[::1]/w.pt": "not a public one",
    "https://[::ffff:7f00:1]/w.pt": "not a public one",
    "https://[fe80::1%25eth0]/w.pt": "not a public one",
    "https:///w.pt": "not a public one",
    "https://[/w.pt": "Invalid IPv6",
}


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_that_cannot_be_public_is_refused_without_a_request(url: str) -> None:
    assert REFUSED[url] in str(url_problem(url))


@pytest.mark.parametrize("url", ["https://example.org/w.pt", "https://8.8.8.8/w.pt", "https://[2606:4700::1111]/w.pt"])
def test_an_https_url_of_a_public_host_is_allowed(url: str) -> None:
    assert url_problem(url) is None


def test_one_private_address_among_those_of_a_name_is_enough_to_refuse_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*addresses: str) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    resolve("8.8.8.8", "8.8.4.4")
    assert public_addresses("example.org", 443) == ["8.8.8.8", "8.8.4.4"]
    resolve("8.8.8.8", "127.0.0.1")
    assert public_addresses("example.org", 443) == []
