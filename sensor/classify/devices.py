"""Who a device is: its MAC where that is visible and not a router's, else its IP address; and what that identity is worth."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from sensor.model import Device

BEHIND_ROUTER = "seen behind a router, told by its address"
SHARED_ADDRESS = "address may be shared by several devices (NAT)"
RANDOM_MAC = "random MAC: the same device may return under another"
TEMPORARY_ADDRESS = "IPv6 temporary address: the same device may return under another"
LOCALLY_ADMINISTERED = 1 << 41  # second bit of the first octet (IEEE 802c)
EUI64_MARK = 0xFFFE  # middle of an interface identifier made from a MAC (RFC 4291, appendix A)


def mac_text(mac: int) -> str:
    """48 bits as "02:00:5e:00:53:01"."""
    return mac.to_bytes(6, "big").hex(":")


def is_random(mac: int) -> bool:
    """Phones make up such addresses for each network; so do virtual machines."""
    return bool(mac & LOCALLY_ADMINISTERED)


def is_temporary(address: str) -> bool:
    """Whether an IPv6 interface identifier looks drawn by lot (RFC 8981): neither from a MAC nor numbered by hand."""
    found = ip_address(address)
    if not isinstance(found, IPv6Address) or found.is_link_local:
        return False
    low = int(found) & ((1 << 64) - 1)
    return (low >> 24) & 0xFFFF != EUI64_MARK and low.bit_count() > 12 and low >> 48 != 0


def device(mac: int, address: str, *, hidden: bool) -> Device:
    """The device of `address`. `mac` -1: none seen. `hidden`: the MAC is a router's."""
    if mac > 0 and not hidden:
        own = (RANDOM_MAC,) if is_random(mac) else ()
        return Device(f"mac:{mac_text(mac)}", mac_text(mac), address, (address,), own)
    notes: tuple[str, ...] = ()
    if mac > 0:
        notes = (BEHIND_ROUTER,)
        if not ip_address(address).is_private:
            notes += (SHARED_ADDRESS,)
    if is_temporary(address):
        notes += (TEMPORARY_ADDRESS,)
    return Device(f"ip:{address}", "", address, (address,), notes)
