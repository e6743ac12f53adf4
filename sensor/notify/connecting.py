"""Connections that end in time and reach only who may be reached.

A name is resolved once, every address it has is judged, and one of those very addresses is connected to: a name that
answers otherwise the next time leads nowhere else.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Final

from sensor.notify.sending import SendError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Address = IPv4Address | IPv6Address
NAT64: Final = IPv6Network("64:ff9b::/96")  # RFC 6052: IPv4 in the last 32 bits
LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")  # RFC 8215


class Deadline:
    """One time by which a whole conversation is over, however slowly the other side speaks."""

    def __init__(self, seconds: float) -> None:
        self._end_s = time.monotonic() + seconds
        self.seconds = seconds

    def left_s(self) -> float:
        """Raises SendError where nothing is left."""
        left = self._end_s - time.monotonic()
        if left <= 0:
            raise SendError(f"no answer within {self.seconds:.0f} s")
        return left

    @contextmanager
    def over(self, connection: socket.socket) -> Iterator[None]:
        """Shuts the connection when the time is over: a socket's own timeout begins anew with every byte that comes.

        What fails inside after that is the deadline's doing and raises SendError.
        """
        left_s = self.left_s()
        copy = socket.socket(fileno=socket.dup(connection.fileno()))  # what wraps the connection is not touched
        timer = threading.Timer(left_s, _shut, (copy,))
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, EOFError, ValueError) as error:
            self.left_s()
            raise SendError(reason(error)) from error
        except SendError:
            self.left_s()
            raise
        else:
            self.left_s()  # what was cut off may look like an end
        finally:
            timer.cancel()
            copy.close()


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was over already


def is_public(address: Address) -> bool:
    """Whether an address is of the internet at large, also where it wraps another one."""
    inner = _inside(address)
    if inner is not None:
        return is_public(inner)
    if address.is_multicast or address.is_reserved or address.is_unspecified or address in LOCAL_NAT64:
        return False
    return address.is_global


def _inside(address: Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to."""
    if isinstance(address, IPv4Address):
        return None
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if int(address) >> 32 == 0 and int(address) > 1:
        return IPv4Address(int(address) & 0xFFFFFFFF)  # "IPv4-compatible", RFC 4291 2.5.5.1
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


def resolve(
    host: str, port: int, deadline: Deadline, kind: socket.SocketKind = socket.SOCK_STREAM
) -> list[tuple[int, Address]]:
    """(family, address) of a name, in the system's order. Raises SendError."""
    found: list[tuple[int, Address]] = []
    failed: list[str] = []

    def ask() -> None:
        try:
            for family, _, _, _, place in socket.getaddrinfo(host, port, type=kind):
                if family in {socket.AF_INET, socket.AF_INET6}:
                    found.append((family, ip_address(str(place[0]).partition("%")[0])))
        except (OSError, UnicodeError, ValueError) as error:
            failed.append(reason(error))

    asking = threading.Thread(target=ask, daemon=True)  # the system's resolver takes no timeout
    asking.start()
    asking.join(deadline.left_s())
    if asking.is_alive():
        raise SendError(f"{host}: its address was not found in time")
    if failed or not found:
        raise SendError(f"{host}: its address was not found: {failed[0] if failed else 'it has none'}")
    return found


def allowed(host: str, addresses: list[tuple[int, Address]]) -> list[tuple[int, Address]]:
    """All of them, where all are public. Raises SendError: of a name that leads inside too, nothing is trusted."""
    for _, address in addresses:
        if not is_public(address):
            raise SendError(f"{host}: {address} is not a public address; allow_private = true would allow this host")
    return addresses


def connect(addresses: list[tuple[int, Address]], port: int, deadline: Deadline) -> socket.socket:
    """A TCP connection to the first of these addresses that takes it. Raises SendError."""
    last = ""
    for family, address in addresses:
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            connection.settimeout(deadline.left_s())
            connection.connect((str(address), port))
        except OSError as error:
            connection.close()
            last = f"{address} port {port}: {reason(error)}"
        except SendError:
            connection.close()
            raise
        else:
            return connection
    raise SendError(last or "there is no address")


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Certificates are always verified, against the system's authorities or the file's. Raises OSError."""
    context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def secured(connection: socket.socket, context: ssl.SSLContext, host: str, deadline: Deadline) -> ssl.SSLSocket:
    """TLS over a connection, with the certificate verified for the name that is configured. Raises SendError."""
    try:
        with deadline.over(connection):
            connection.settimeout(deadline.left_s())
            return context.wrap_socket(connection, server_hostname=host)
    except SendError:
        connection.close()
        raise


def reason(error: BaseException) -> str:
    """One line that says what failed and repeats nothing that the other side chose."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not valid: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {(error.reason or 'no reason given').lower().replace('_', ' ')}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return "the connection broke off" if isinstance(error, (OSError, EOFError)) else type(error).__name__
