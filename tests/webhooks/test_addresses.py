"""Webhooks go to public addresses and to listed networks, whatever a name resolves to, and to nothing else."""

from ipaddress import ip_network

import pytest

from adapters.webhooks.addresses import Addresses, OffLimits, Target, target_of
from domain.errors import Invalid

PUBLIC = ("93.184.215.14", "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::808:808", "::ffff:8.8.8.8")
CLOSED = {
    "loopback": "127.0.0.1",
    "all of loopback": "127.255.255.254",
    "this host": "0.0.0.0",
    "private 10": "10.0.0.1",
    "private 172": "172.16.0.1",
    "private 192": "192.168.1.1",
    "shared": "100.64.0.1",
    "a cloud's metadata in the shared range": "100.100.100.200",
    "link-local": "169.254.0.1",
    "metadata": "169.254.169.254",
    "a cloud's own server": "168.63.129.16",
    "protocols": "192.0.0.9",
    "documentation": "192.0.2.1",
    "benchmarks": "198.18.0.1",
    "relay": "192.88.99.1",
    "multicast": "224.0.0.1",
    "global multicast": "233.252.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "loopback 6": "::1",
    "unspecified 6": "::",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped metadata": "::ffff:169.254.169.254",
    "compatible": "::127.0.0.1",
    "link-local 6": "fe80::1",
    "scoped": "fe80::1%1",
    "scoped public": "2606:2800:21f:cb07:6820:80da:af6b:8b2c%1",
    "site-local": "fec0::1",
    "unique local": "fc00::1",
    "metadata 6": "fd00:ec2::254",
    "multicast 6": "ff02::1",
    "discard": "100::1",
    "documentation 6": "2001:db8::1",
    "new documentation 6": "3fff::1",
    "NAT64 of loopback": "64:ff9b::7f00:1",
    "NAT64 of metadata": "64:ff9b::a9fe:a9fe",
    "local NAT64": "64:ff9b:1::808:808",
    "6to4": "2002:7f00:1::",
    "6to4 of public": "2002:808:808::1",
    "Teredo": "2001:0:7f00:1::",
    "no address": "localhost",
}


def addresses(*found: str, listed: tuple[str, ...] = ()) -> Addresses:
    """As if every name had these addresses."""

    async def resolver(host: str, port: int) -> list[str]:
        return list(found)

    return Addresses([ip_network(one) for one in listed], resolver)


@pytest.mark.parametrize("address", PUBLIC)
async def test_a_public_address_may_be_reached(address: str) -> None:
    assert await addresses(address).of(Target("https", "hooks.test", 443)) == [address]


@pytest.mark.parametrize("address", CLOSED.values(), ids=CLOSED.keys())
async def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(OffLimits):
        await addresses(address).of(Target("https", "hooks.test", 443))


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1"])
async def test_a_name_with_one_closed_address_is_refused_wherever_it_stands(address: str, order: int) -> None:
    found = [*PUBLIC, address][::order]
    with pytest.raises(OffLimits, match="not public"):
        await addresses(*found).of(Target("https", "hooks.test", 443))


async def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(OffLimits, match="no address"):
        await addresses().of(Target("https", "hooks.test", 443))


async def test_a_real_name_of_this_machine_is_refused() -> None:
    for host in ("localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1"):
        with pytest.raises(OffLimits):
            await Addresses().of(Target("https", host, 443))


@pytest.mark.parametrize(
    ("listed", "address"),
    [
        ("10.1.0.0/16", "10.1.2.3"),
        ("10.1.0.0/16", "::ffff:10.1.2.3"),
        ("10.1.0.0/16", "64:ff9b::a01:203"),
        ("127.0.0.0/8", "127.0.0.1"),
        ("fd00::/8", "fd00::1"),
    ],
)
async def test_a_listed_network_may_be_reached_in_any_way(listed: str, address: str) -> None:
    allowed = addresses(address, listed=(listed,))
    for target in (Target("http", "hooks.test", 80), Target("https", "hooks.test", 25)):
        assert await allowed.of(target) == [address]


async def test_a_listed_network_opens_no_other() -> None:
    for address in ("10.2.0.1", "127.0.0.1", "::1", "fd00::1"):
        with pytest.raises(OffLimits):
            await addresses("10.1.0.1", address, listed=("10.1.0.0/16",)).of(Target("https", "hooks.test", 443))


async def test_outside_the_listed_networks_only_https_is_spoken_and_not_to_ports_of_other_services() -> None:
    with pytest.raises(OffLimits, match="https"):
        await addresses("8.8.8.8").of(Target("http", "hooks.test", 80))
    for port in (22, 25, 80, 993):
        with pytest.raises(OffLimits, match="port"):
            await addresses("8.8.8.8").of(Target("https", "hooks.test", port))
    assert await addresses("8.8.8.8").of(Target("https", "hooks.test", 8443))


@pytest.mark.parametrize(
    "url",
    [
        *("", "hooks.test", "ftp://hooks.test/", "file:///etc/passwd", "gopher://hooks.test", "https://", "https:///x"),
        *(
            "https://user@hooks.test/",
            "https://user:word@hooks.test/",
            "https://@hooks.test/",
            "https://a@b@hooks.test",
        ),
        *("https://hooks.test/#part", "https://hooks.test#", "https://hooks.test:0/", "https://hooks.test:65536/"),
        *(
            "https://hooks.test:x/",
            "https://[::1/",
            "https://[::1%25eth0]/",
            "https://hooks test/",
            "https://hooks\ttest",
        ),
        *(
            "https://hooks.test\\@evil.test/",
            "https://hooks.test/\r\nX: y",
            "https://h\u00f6oks.test/",
            "https://a..b/",
        ),
        *("https://-a.test/", "https://a.test-/", "https://%31.test/", "https://a,b/", "https://" + "a" * 64 + ".test"),
        "https://hooks.test/" + "a" * 2000,
    ],
)
def test_what_is_no_plain_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Invalid) as refusal:
        target_of(url)
    assert not url or url not in refusal.value.message


def test_an_address_is_taken_apart() -> None:
    assert target_of("https://Hooks.test/a?b=c") == Target("https", "hooks.test", 443)
    assert target_of("https://hooks.test:8443").shown == "hooks.test:8443"
    assert target_of("http://[2606:2800::1]:81/").shown == "[2606:2800::1]:81"
