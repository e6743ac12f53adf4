"""TLS hellos: which name a client asks for, and what it offers (RFC 8446, 4 and 5.1; RFC 5246; RFC 6066, 3).

Unknown code points stay plain integers. An observer reads what it can: bytes behind what the lengths promise are
ignored, lengths that contradict each other are Malformed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from struct import Struct

from sensor.decode.cursor import Bad, Cursor, NeedMore, decoder
from sensor.decode.text import host, text
from sensor.model import Malformed

# Record content types and handshake types (RFC 8446, 5.1 and 4).
HANDSHAKE = 22
CLIENT_HELLO = 1
SERVER_HELLO = 2

MAJOR_VERSION = 3  # the first byte of SSL 3.0 and of every TLS version
DATAGRAM_MAJOR_VERSION = 0xFE  # and of every DTLS version
DRAFT_VERSION = 0x7F  # the same in a ServerHello of TLS 1.3 drafts 18 to 21, which has no session id

# Fixed parts: type, version and length of a record; version, random and session id's length of a hello; type and
# length of an extension; type and length of a server name.
RECORD = Struct(">BBBH")
HELLO_HEAD = Struct(">H32xB")
EXTENSION = Struct(">HH")
NAME = Struct(">BH")

# Extensions (IANA, TLS ExtensionType values).
SERVER_NAME = 0
SUPPORTED_GROUPS = 10
SIGNATURE_ALGORITHMS = 13
ALPN = 16
SUPPORTED_VERSIONS = 43
ENCRYPTED_CLIENT_HELLO = 0xFE0D
ESNI = 0xFFCE  # what it was in its drafts 1 to 6

READ_EXTENSIONS = frozenset(
    {SERVER_NAME, SUPPORTED_GROUPS, SIGNATURE_ALGORITHMS, ALPN, SUPPORTED_VERSIONS, ENCRYPTED_CLIENT_HELLO}
)

HOST_NAME = 0  # the only NameType there is (RFC 6066, 3)

MAX_RECORD_BYTES = 2**14 + 2048  # RFC 5246, 6.2.3; plaintext has less, some stacks do not care
# A ClientHello with every vector at its longest (RFC 8446, 4.1.2).
MAX_HELLO_BYTES = 2 + 32 + 1 + 32 + 2 + 0xFFFE + 1 + 0xFF + 2 + 0xFFFF

# SSLv2-compatible hello (RFC 5246, E.2): u16 length with the top bit set, then type, version, three lengths.
V2_LENGTH_BIT = 0x8000
V2_CHALLENGE_BYTES = range(16, 33)


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a client offers. GREASE values (RFC 8701) are kept; whoever makes fingerprints drops them."""

    sni: str | None  # lower case, escaped; None if no host name is given
    alpn: tuple[str, ...]
    legacy_version: int  # 0x0303 in TLS 1.2 and 1.3
    versions: tuple[int, ...]  # supported_versions, in order; empty if the extension is missing
    ciphers: tuple[int, ...]
    extensions: tuple[int, ...]  # types, in order
    groups: tuple[int, ...]
    signature_algorithms: tuple[int, ...]
    ech: bytes | None = None  # data of encrypted_client_hello, for `decode.ech`
    damaged: Malformed | None = None  # where its extensions break behind the server name; those before are here
    raw: bytes = field(default=b"", compare=False, repr=False)  # of what was put together: the bytes it was read from


@dataclass(frozen=True, slots=True)
class ServerHello:
    """What a server chose."""

    version: int  # from supported_versions where given (TLS 1.3), else the legacy field
    cipher: int


@decoder
def client_hello(message: bytes) -> ClientHello:
    """The ClientHello in `message`, which starts at a handshake header; what follows the message is not looked at."""
    cursor = Cursor(message)
    if cursor.u8() != CLIENT_HELLO:
        raise Bad("not a ClientHello", 0)
    return replace(_client_hello(_body(cursor)), raw=message)


@decoder
def datagram_hello(body: bytes) -> ClientHello:
    """A DTLS ClientHello without its header, put together of its fragments."""
    return replace(_client_hello(Cursor(body), datagram=True), raw=body)


@decoder
def first_handshake(stream: bytes) -> ClientHello | ServerHello:
    """The hello at the start of a TCP stream, over as many records as it takes."""
    cursor = Cursor(stream)
    first = cursor.u8()
    if first & V2_LENGTH_BIT >> 8:
        return _v2_hello(Cursor(stream))
    if first != HANDSHAKE:
        raise Bad("not a TLS handshake record", 0)
    return _joined_hello(Cursor(stream))


def _joined_hello(cursor: Cursor) -> ClientHello | ServerHello:
    """The hello in the records at the cursor, however they cut it; offsets are those of the stream."""
    message = bytearray()
    places: list[tuple[int, int]] = []  # where each record's part starts: in the message, in the stream
    wanted = 4
    while len(message) < wanted:
        piece = fragment(cursor)
        places.append((len(message), piece.offset))
        message += piece.rest()
        wanted = _hello_bytes(message, places[0][1])
    try:
        hello = _hello(Cursor(bytes(message), 0, wanted))
    except Bad as bad:
        raise Bad(bad.reason, _place(places, bad.offset)) from None
    if isinstance(hello, ClientHello) and hello.damaged is not None:
        hello = replace(hello, damaged=Malformed(hello.damaged.reason, _place(places, hello.damaged.offset)))
    return hello


def _place(places: list[tuple[int, int]], offset: int) -> int:
    """An offset in a message as one in the stream."""
    start, place = max(one for one in places if one[0] <= offset)
    return place + offset - start


def fragment(cursor: Cursor) -> Cursor:
    """The payload of the record at the cursor (RFC 8446, 5.1), or as much of it as is there."""
    at = cursor.offset
    kind, major, _, length = cursor.unpack(RECORD)
    if kind != HANDSHAKE:
        raise Bad("not a TLS handshake record", at)
    if major != MAJOR_VERSION:
        raise Bad("not a TLS record version", at + 1)
    if not 0 < length <= MAX_RECORD_BYTES:
        raise Bad("no TLS record has this length", at + 3)
    if not cursor.remaining:
        raise NeedMore
    return cursor.sub(min(length, cursor.remaining))


def _hello_bytes(message: bytearray, at: int) -> int:
    """How long the message says it is, header included; refuses early what can never become a hello."""
    if message[0] not in {CLIENT_HELLO, SERVER_HELLO}:
        raise Bad("the first handshake message is not a hello", at)
    if len(message) < 4:
        return 4
    length = int.from_bytes(message[1:4], "big")
    if length > MAX_HELLO_BYTES:
        raise Bad("longer than a hello can be", at + 1)
    return 4 + length


def _hello(cursor: Cursor) -> ClientHello | ServerHello:
    """The hello whose handshake header is at the cursor."""
    return _client_hello(_body(cursor)) if cursor.u8() == CLIENT_HELLO else _server_hello(_body(cursor))


def _body(cursor: Cursor) -> Cursor:
    """The fenced body behind a handshake type (RFC 8446, 4)."""
    at = cursor.offset
    length = cursor.u24()
    if length > MAX_HELLO_BYTES:
        raise Bad("longer than a hello can be", at)
    return cursor.sub(length)


def _client_hello(body: Cursor, *, datagram: bool = False) -> ClientHello:
    """RFC 8446, 4.1.2; the same layout since SSL 3.0. Over datagrams it has a cookie too (RFC 6347, 4.2.1; RFC 9147, 5.3)."""
    at = body.offset
    legacy_version, session_bytes = body.unpack(HELLO_HEAD)
    if legacy_version >> 8 != (DATAGRAM_MAJOR_VERSION if datagram else MAJOR_VERSION):
        raise Bad("not a TLS version", at)
    body.skip(session_bytes)
    if datagram:
        body.skip(body.u8())
    ciphers = body.u16_list(body.u16())
    body.skip(body.u8())  # compression methods
    types: list[int] = []
    read: dict[int, Cursor] = {}
    damaged = None
    if body.remaining >= 2:  # old clients send no extensions
        try:
            _extensions(body.sub(body.u16()), types, read)
        except Bad as bad:
            if SERVER_NAME not in read:
                raise
            damaged = Malformed(bad.reason, bad.offset)  # the name stands there all the same
    ech = read.get(ENCRYPTED_CLIENT_HELLO)
    return ClientHello(
        _server_name(read.get(SERVER_NAME)),
        _alpn(read.get(ALPN)),
        legacy_version,
        _values(read.get(SUPPORTED_VERSIONS), 1),
        ciphers,
        tuple(types),
        _values(read.get(SUPPORTED_GROUPS), 2),
        _values(read.get(SIGNATURE_ALGORITHMS), 2),
        None if ech is None else ech.rest(),
        damaged,
    )


def _extensions(block: Cursor, types: list[int], read: dict[int, Cursor]) -> None:
    """Adds the extensions' types, and the contents of those that are read (RFC 8446, 4.2)."""
    while block.offset < block.end:
        kind, length = block.unpack(EXTENSION)
        types.append(kind)
        # No type comes twice. Where one does, the first counts.
        if kind in READ_EXTENSIONS and kind not in read:
            read[kind] = block.sub(length)
        else:
            block.skip(length)


def _server_name(extension: Cursor | None) -> str | None:
    """The first host name in the list (RFC 6066, 3); None where there is none."""
    if extension is None or not extension.remaining:
        return None
    names = extension.sub(extension.u16())
    while names.remaining:
        kind, length = names.unpack(NAME)
        name = names.take(length)
        if kind == HOST_NAME:
            return host(name) or None
    return None


def _alpn(extension: Cursor | None) -> tuple[str, ...]:
    """Protocol names in order (RFC 7301, 3.1)."""
    if extension is None or not extension.remaining:
        return ()
    names = extension.sub(extension.u16())
    found = []
    while names.offset < names.end:
        found.append(text(names.take(names.u8())))
    return tuple(found)


def _values(extension: Cursor | None, length_bytes: int) -> tuple[int, ...]:
    """A list of 16-bit values behind a length of one or two bytes."""
    if extension is None or not extension.remaining:
        return ()
    return extension.u16_list(extension.u8() if length_bytes == 1 else extension.u16())


def _server_hello(body: Cursor) -> ServerHello:
    """RFC 8446, 4.1.3; a HelloRetryRequest reads the same."""
    at = body.offset
    version = body.u16()
    body.skip(32)  # random
    if version >> 8 == MAJOR_VERSION:
        body.skip(body.u8())  # session id
        cipher = body.u16()
        body.skip(1)  # compression method
    elif version >> 8 == DRAFT_VERSION:
        cipher = body.u16()
    else:
        raise Bad("not a TLS version", at)
    block = body.sub(body.u16() if body.remaining >= 2 else 0)
    while block.remaining:
        kind, length = block.unpack(EXTENSION)
        if kind == SUPPORTED_VERSIONS:
            version = block.sub(length).u16()
        else:
            block.skip(length)
    return ServerHello(version, cipher)


def _v2_hello(cursor: Cursor) -> ClientHello:
    """A ClientHello in SSLv2 dress (RFC 5246, E.2), as very old devices still send; it has no extensions."""
    length = cursor.u16() ^ V2_LENGTH_BIT
    if cursor.u8() != CLIENT_HELLO:
        raise Bad("not an SSLv2-compatible hello", 2)
    version = cursor.u16()
    if version >> 8 != MAJOR_VERSION and version != 2:
        raise Bad("not a TLS version", 3)
    specs_bytes, session_bytes, challenge_bytes = cursor.u16(), cursor.u16(), cursor.u16()
    fits = 9 + specs_bytes + session_bytes + challenge_bytes == length and specs_bytes and not specs_bytes % 3
    if not fits or session_bytes not in {0, 16, 32} or challenge_bytes not in V2_CHALLENGE_BYTES:
        raise Bad("not an SSLv2-compatible hello", 5)
    specs = cursor.take(specs_bytes)
    cursor.skip(session_bytes + challenge_bytes)
    # Three bytes each: 00 and a TLS suite, or an SSLv2 cipher, which is no TLS code point.
    ciphers = tuple(int.from_bytes(specs[at + 1 : at + 3], "big") for at in range(0, specs_bytes, 3) if not specs[at])
    return ClientHello(None, (), version, (), ciphers, (), (), ())
