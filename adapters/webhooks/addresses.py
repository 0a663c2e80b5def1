"""Where webhooks may go: public addresses, and the networks that an administrator lists."""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from domain.errors import Invalid

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]

LONGEST_URL = 2000
PLAIN = re.compile(r"[!-~]+")
LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
RESOLVE_SECONDS = 5.0
# Threads of their own, as a name may be one whose server never answers.
ASKERS = ThreadPoolExecutor(16, "webhook names")
PORTS = {"https": 443, "http": 80}
# Below this, ports belong to services that speak something else, such as mail.
FIRST_FREE_PORT = 1024
UNIVERSAL = ip_network("2000::/3")
NAT64 = ip_network("64:ff9b::/96")
# What the standard library takes for public, or knows only in newer versions: tunnels, which hold another address
# inside, documentation, protocols; and where a cloud answers its own machines.
CLOSED: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        *("192.0.0.0/24", "192.88.99.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
        *("2001::/23", "2002::/16", "3fff::/20"),
    )
)


class OffLimits(Exception):
    """The address is one that webhooks may not reach; the text says why and holds no secret."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an address names, taken apart."""

    scheme: str
    host: str
    port: int

    @property
    def shown(self) -> str:
        """What may be known of it: its host, with the port where that is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def target_of(url: str) -> Target:
    """What an address names; Invalid when it cannot be one. No message repeats it, for it may be a secret."""
    if len(url) > LONGEST_URL or not PLAIN.fullmatch(url) or "\\" in url:
        raise Invalid(f"url must be an address of at most {LONGEST_URL} plain ASCII characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise Invalid("url is not an address on the web") from None
    if parts.scheme not in PORTS:
        raise Invalid("url must begin with https://")
    if "@" in parts.netloc or parts.fragment or "#" in url:
        raise Invalid("url must hold neither credentials nor a fragment")
    if not is_host(host) or port == 0:
        raise Invalid("url must name a host")
    return Target(parts.scheme, host, PORTS[parts.scheme] if port is None else port)


def is_host(text: str) -> bool:
    """Whether it is an address of a machine or a name for one, as DNS writes names."""
    if ":" in text:
        return "%" not in text and is_address(text)
    return 0 < len(text) <= 253 and all(LABEL.fullmatch(label) for label in text.removesuffix(".").split("."))


def is_address(text: str) -> bool:
    """Whether it is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name, by this machine's resolver."""
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(ASKERS, ask)
    return list(dict.fromkeys(str(place[4][0]) for place in found))


class Addresses:
    """Which addresses may be reached. `listed` are the networks that an administrator opened."""

    def __init__(self, listed: Sequence[Network] = (), resolver: Resolve = resolve) -> None:
        self.listed = tuple(listed)
        self.resolver = resolver

    async def of(self, target: Target) -> list[str]:
        """The addresses of a target, every one of which may be reached; OffLimits when one may not."""
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self.resolver(target.host, target.port)
        except (TimeoutError, OSError, UnicodeError):
            found = []
        if not found:
            raise OffLimits("the host has no address")
        for text in found:
            self.check(text, target)
        return found

    def check(self, text: str, target: Target) -> None:
        """OffLimits unless this one may be reached, at this port, in this way."""
        address = meant(text)
        if any(address.version == network.version and address in network for network in self.listed):
            return
        if not is_public(address):
            raise OffLimits("the host has an address that is not public")
        if target.scheme != "https":
            raise OffLimits("only https is spoken outside the listed networks")
        if target.port != PORTS["https"] and target.port < FIRST_FREE_PORT:
            raise OffLimits("the port is not one of the web")


def meant(text: str) -> Address:
    """The address, or the one inside it that a packet would reach in the end; OffLimits when it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        raise OffLimits("the host has no address") from None
    if isinstance(address, IPv4Address):
        return address
    if address.scope_id is not None:
        raise OffLimits("the host has an address that is not public")
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def is_public(address: Address) -> bool:
    """Whether anybody on the internet is meant by it, and nobody near us."""
    if any(address.version == network.version and address in network for network in CLOSED):
        return False
    if isinstance(address, IPv6Address) and address not in UNIVERSAL:
        return False
    return address.is_global and not address.is_multicast
