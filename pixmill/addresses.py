"""Which network addresses a request may go to that somebody else has written the name of.

Whoever may set an address, or what a name stands for, could otherwise have this host speak to what trusts it: the
services of the machine itself, of its network, or the one that hands credentials to machines of a cloud.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address

# Where clouds answer machines with their credentials; nobody has a webhook there.
_METADATA = frozenset(
    map(ip_address, ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192"))
)
# Between a provider and its customers, and for translation within a network: some Pythons take them for global.
_SHARED = (ip_network("100.64.0.0/10"), ip_network("64:ff9b:1::/48"))
_TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("::/96"))  # IPv4 in the last four bytes


def why_not(text: str, *, allow_private: bool) -> str | None:
    """Why nothing is sent to an address, in a word or two; None where it may be.

    Raises ValueError for what is no address.

    >>> why_not("93.184.215.14", allow_private=False), why_not("2606:2800:21f::1", allow_private=False)
    (None, None)
    >>> why_not("10.0.0.7", allow_private=False), why_not("10.0.0.7", allow_private=True)
    ('a private address', None)
    >>> why_not("::ffff:127.0.0.1", allow_private=False)
    'this machine'
    >>> why_not("169.254.169.254", allow_private=True)
    "an address of a cloud's metadata"
    """
    address = _meant(ip_address(text.partition("%")[0]))
    never = _never(address)
    return never or (None if allow_private else _private(address))


def is_never_allowed(reason: str) -> bool:
    """Whether no setting would let a request go there."""
    return reason not in _BY_SETTING


_LOOPBACK, _PRIVATE = "this machine", "a private address"
_BY_SETTING = (_LOOPBACK, _PRIVATE)


def _never(address: Address) -> str | None:
    if address in _METADATA:
        return "an address of a cloud's metadata"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        return "no address of one machine"
    return None


def _private(address: Address) -> str | None:
    if address.is_loopback:
        return _LOOPBACK
    is_shared = any(address in network for network in _SHARED)
    return _PRIVATE if is_shared or address.is_reserved or not address.is_global else None


def _meant(address: Address) -> Address:
    """The IPv4 address that one of IPv6 stands for, if it does: packets go there."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if int(address) > 1 and any(address in network for network in _TRANSLATED):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
