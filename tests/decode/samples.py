"""Bytes for the decoders' tests: published vectors, and hellos built by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from itertools import pairwise

# RFC 9001, A.2 and RFC 9369, A.2: the payload of the client's first Initial, the same in both.
RFC_HELLO = bytes.fromhex(
    "010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c00000413011302010000c000000010000e0000"
    "0b6578616d706c652e636f6dff01000100000a00080006001d0017001800100007000504616c706e000500050100000000003300260024001d"
    "00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b0003020304000d0010000e04030503060302030804"
    "08050806002d00020101001c00024001003900320408ffffffffffffffff05048000ffff07048000ffff080110010480007530090110"
    "0f088394c8f03e51570806048000ffff"
)
RFC_DCID = bytes.fromhex("8394c8f03e515708")

# RFC 9001, A.3 and RFC 9369, A.3: the server's first Initial, whole.
RFC_SERVER_V1 = bytes.fromhex(
    "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c"
    "3ec2493a1839b3dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84022f8ef4cdd93795d77d06edbb7aaf2f5889"
    "1850abbdca3d20398c276456cbc42158407dd074ee"
)
RFC_SERVER_V2 = bytes.fromhex(
    "dc6b3343cf0008f067a5502a4262b5004075d92faaf16f05d8a4398c47089698baeea26b91eb761d9b89237bbf87263017915358230035f7fd"
    "3945d88965cf17f9af6e16886c61bfc703106fbaf3cb4cfa52382dd16a393e42757507698075b2c984c707f0a0812d8cd5a6881eaf21ceda98"
    "f4bd23f6fe1a3e2c43edd9ce7ca84bed8521e2e140"
)
V1 = 0x00000001
V2 = 0x6B3343CF

# RFC 8448, 3: the client's and the server's hello, without record headers.
RFC_8448_HELLO = bytes.fromhex(
    "010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece7000006130113031302010000910000000b0009"
    "000006736572766572ff01000100000a00140012001d0017001800190100010101020103010400230000003300260024001d002099381de560"
    "e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e529aaf2c002b0003020304000d0020001e0403050306030203080408050806040105"
    "01060102010402050206020202002d00020101001c00024001"
)
RFC_8448_SERVER_HELLO = bytes.fromhex(
    "020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e269280013010000"
    "2e00330024001d0020c9828876"
    "112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304"
)

# RFC 5769, 2.1 to 2.4.
STUN_REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b151"
    "263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
STUN_RESPONSE_V4 = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599fd"
    "9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
STUN_RESPONSE_V6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a1470113a9faa5d3f179bc25f4b5be"
    "d2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
)
STUN_LONG_TERM = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b900000015001c662f2f3439396b3935"
    "3464364f4c33346f4c394653547679363473410014000b6578616d706c652e6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca8"
    "9666"
)

HTTP_REQUEST = b"GET /index.html HTTP/1.1\r\nUser-Agent: x\r\nHost: Www.Example.COM:8080\r\nAccept: */*\r\n\r\n"


def u16(value: int) -> bytes:
    return value.to_bytes(2, "big")


def vector8(data: bytes) -> bytes:
    return bytes([len(data)]) + data


def vector16(data: bytes) -> bytes:
    return u16(len(data)) + data


def extension(kind: int, data: bytes) -> bytes:
    return u16(kind) + vector16(data)


def server_name(name: bytes) -> bytes:
    return extension(0, vector16(b"\x00" + vector16(name)))


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def client_hello(*extensions: bytes, ciphers: bytes = b"\x13\x01\x13\x02") -> bytes:
    """A ClientHello with its handshake header; without any extension it has no extension block."""
    body = b"\x03\x03" + bytes(range(32)) + vector8(b"s" * 32) + vector16(ciphers) + b"\x01\x00"
    if extensions:
        body += vector16(b"".join(extensions))
    return message(1, body)


def records(data: bytes, *cuts: int) -> bytes:
    """TLS records of handshake data, cut at the given places."""
    edges = [0, *cuts, len(data)]
    parts = [data[start:end] for start, end in pairwise(edges)]
    return b"".join(b"\x16\x03\x01" + vector16(part) for part in parts)


def varint(value: int) -> bytes:
    for size, prefix in ((1, 0x00), (2, 0x40), (4, 0x80), (8, 0xC0)):
        if value < 1 << (8 * size - 2):
            raw = bytearray(value.to_bytes(size, "big"))
            raw[0] |= prefix
            return bytes(raw)
    raise ValueError(value)


def crypto(offset: int, data: bytes) -> bytes:
    return b"\x06" + varint(offset) + varint(len(data)) + data


def initial(
    payload: bytes,
    *,
    version: int = V1,
    key_dcid: bytes = RFC_DCID,
    dcid: bytes | None = None,
    scid: bytes = b"",
    number: int = 0,
    is_client: bool = True,
    token: bytes = b"",
) -> bytes:
    """An Initial protected by aioquic, whose cryptography is not ours."""
    from aioquic.quic.crypto import CryptoPair

    pair = CryptoPair()
    pair.setup_initial(cid=key_dcid, is_client=is_client, version=version)
    payload = payload.ljust(4, b"\x00")  # enough for the sample
    kind = 0xD3 if version == V2 else 0xC3
    head = bytes([kind]) + version.to_bytes(4, "big") + vector8(key_dcid if dcid is None else dcid) + vector8(scid)
    head += varint(len(token)) + token + varint(4 + len(payload) + 16) + number.to_bytes(4, "big")
    packet: bytes = pair.encrypt_packet(head, payload, number)
    return packet


def rfc_client(version: int = V1) -> bytes:
    """RFC 9001, A.2 or RFC 9369, A.2, whole: 1,200 bytes with PADDING."""
    return initial(crypto(0, RFC_HELLO).ljust(1162, b"\x00"), version=version, number=2)


def dns_response() -> bytes:
    """A response with every kind of record that is read, names compressed, made by dnspython."""
    import dns.message

    return dns.message.from_text(
        """id 4660
opcode QUERY
rcode NOERROR
flags QR RD RA
edns 0
payload 1232
;QUESTION
Chat.Example.com. IN HTTPS
;ANSWER
chat.example.com. 300 IN CNAME edge.example.net.
edge.example.net. 60 IN A 192.0.2.7
edge.example.net. 60 IN AAAA 2001:db8::7
edge.example.net. 60 IN HTTPS 1 . alpn="h3,h2" port=8443 ipv4hint=192.0.2.8,192.0.2.9 ipv6hint=2001:db8::8 ech="AAT+DQAA"
edge.example.net. 60 IN TXT "hello" "world"
;AUTHORITY
example.net. 3600 IN NS ns1.example.net.
;ADDITIONAL
ns1.example.net. 3600 IN A 192.0.2.53
"""
    ).to_wire()


def netbios(name: bytes, kind: int) -> bytes:
    """A NetBIOS name on the wire (RFC 1001, 14.1), without a scope."""
    plain = name.ljust(15) + bytes([kind])
    return b"\x20" + bytes(ord("A") + half for byte in plain for half in (byte >> 4, byte & 15)) + b"\x00"


# RFC 1002, 4.2.12, 4.2.2 and 4.2.13: a name query, a registration, a positive answer.
NBNS_QUERY = u16(7) + u16(0x0110) + u16(1) + bytes(6) + netbios(b"WARD3-PC", 0x20) + u16(0x20) + u16(1)
NBNS_REGISTRATION = (
    u16(8) + u16(0x2910) + u16(1) + bytes(4) + u16(1) + netbios(b"ANNA-LAPTOP", 0) + u16(0x20) + u16(1)
) + (b"\xc0\x0c" + u16(0x20) + u16(1) + (300000).to_bytes(4, "big") + vector16(b"\x00\x00\x0a\x00\x00\x07"))
NBNS_RESPONSE = (
    u16(7) + u16(0x8500) + u16(0) + u16(1) + bytes(4) + netbios(b"WARD3-PC", 0x20) + u16(0x20) + u16(1)
) + ((300000).to_bytes(4, "big") + vector16(b"\x00\x00\x0a\x00\x00\x07"))


def ech_config(public_name: bytes, *, config_id: int = 7, version: int = 0xFE0D) -> bytes:
    """One ECHConfig (RFC 9849, 4): X25519, HKDF-SHA256, AES-128-GCM."""
    key = bytes([config_id]) + u16(0x20) + vector16(bytes(range(32))) + vector16(u16(1) + u16(1))
    return u16(version) + vector16(key + bytes([64]) + vector8(public_name) + vector16(b""))


ECH_CONFIGS = vector16(ech_config(b"Cloudflare-ECH.com") + ech_config(b"unread", version=0xFE0A))
# An outer ECH: HKDF-SHA256, AES-128-GCM, configuration 42, 32 bytes of enc, 24 of an inner hello.
ECH_OUTER = bytes.fromhex("00 0001 0001 2a") + vector16(bytes(range(32))) + vector16(b"e" * 24)
SERVER_HELLO = message(
    2, b"\x03\x03" + bytes(32) + vector8(b"") + b"\x13\x01\x00" + vector16(extension(43, b"\x03\x04"))
)
TLS_1_2_SERVER_HELLO = message(
    2, b"\x03\x03" + bytes(32) + vector8(b"i" * 32) + b"\xc0\x2f\x00" + vector16(extension(0xFF01, b"\x00"))
)
V2_HELLO = (
    b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10"
    + bytes.fromhex("00002f00003500000501008000000a0700c0000013")
    + b"c" * 16
)
FULL_HELLO = client_hello(
    extension(0x0A0A, b""),
    server_name(b"Web.WhatsApp.net"),
    extension(10, vector16(b"\x11\xec\x00\x1d\x00\x17")),
    extension(13, vector16(b"\x04\x03\x08\x04")),
    extension(16, vector16(vector8(b"h2") + vector8(b"http/1.1"))),
    extension(43, vector8(b"\x0a\x0a\x03\x04\x03\x03")),
    extension(0xFE0D, ECH_OUTER),
)


def dtls_hello(*extensions: bytes, cookie: bytes = b"", version: bytes = b"\xfe\xfd") -> bytes:
    """The body of a DTLS ClientHello (RFC 6347, 4.2.1)."""
    body = version + bytes(range(32)) + vector8(b"") + vector8(cookie) + vector16(b"\xc0\x2b\xc0\x2f") + b"\x01\x00"
    return body + (vector16(b"".join(extensions)) if extensions else b"")


def dtls_fragment(body: bytes, start: int = 0, end: int | None = None, *, number: int = 0, kind: int = 1) -> bytes:
    """A piece of a handshake message behind its header (RFC 6347, 4.2.2)."""
    data = body[start:end]
    head = (
        bytes([kind])
        + len(body).to_bytes(3, "big")
        + u16(number)
        + start.to_bytes(3, "big")
        + len(data).to_bytes(3, "big")
    )
    return head + data


def dtls_record(
    data: bytes, *, version: bytes = b"\xfe\xfd", kind: int = 22, epoch: int = 0, sequence: int = 0
) -> bytes:
    return bytes([kind]) + version + u16(epoch) + sequence.to_bytes(6, "big") + vector16(data)


@cache
def certificate(common_name: str | None, *dns_names: str) -> bytes:
    """A certificate made by `cryptography`, DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    when = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), 7, when, when.replace(year=2027))
    if dns_names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(one) for one in dns_names]), critical=False
        )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def flight(leaf: bytes, *, cuts: tuple[int, ...] = ()) -> bytes:
    """A server's first flight of TLS 1.2: ServerHello, Certificate with one further one, ServerHelloDone."""
    entries = b"".join(len(one).to_bytes(3, "big") + one for one in (leaf, b"\x30\x82" + bytes(1200)))
    messages = TLS_1_2_SERVER_HELLO + message(11, len(entries).to_bytes(3, "big") + entries) + message(14, b"")
    return records(messages, *cuts)
