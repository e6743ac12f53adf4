"""Rows and constants of the compiled loop: flow rows, clue rows, and the names of every counter.

Addresses are two int64 halves, big-endian, IPv4 as ::ffff:a.b.c.d. In a flow row side 0 is the endpoint that sorts first;
`opener` says which side opened the flow.
"""

from __future__ import annotations

import numpy as np

# One row per live flow, four cache lines: what tells it and what nearly every packet touches lies in the first two.
FLOW = np.dtype(
    [
        ("a_high", "<i8"),
        ("a_low", "<i8"),
        ("b_high", "<i8"),
        ("b_low", "<i8"),
        ("last_ns", "<i8"),
        ("a_port", "<u2"),
        ("b_port", "<u2"),
        ("chain", "<i4"),  # next row of the same hash bucket, -1 at the end
        ("state", "<u2"),  # STATE_* bits below
        ("proto", "u1"),
        ("opener", "u1"),
        ("phase_0", "u1"),  # PHASE_*
        ("phase_1", "u1"),
        ("clues_0", "u1"),  # how many payloads were handed on
        ("clues_1", "u1"),
        ("ended", "u1"),  # 1: since the batch began, 2: before it
        ("pad_1", "u1", 3),
        ("pool_0", "<i2"),  # where the beginning of this side's stream is put together: `assemble.place_of_stream`
        ("pool_1", "<i2"),
        # second cache line
        ("bytes_0", "<i8"),  # bytes on the wire, from the link layer up
        ("bytes_1", "<i8"),
        ("packets_0", "<u4"),
        ("packets_1", "<u4"),
        ("base_0", "<u4"),  # TCP sequence number of the first payload byte, where STATE_BASE_0 says it is known
        ("base_1", "<u4"),
        ("flow_id", "<i8"),
        ("wheel", "<i4"),  # next row due in the same second, -1 at the end
        ("until_0", "<u4"),  # how far into the stream its beginning may reach
        ("until_1", "<u4"),
        ("tick_ns", "<i8"),  # packet time at which the current window is over
        ("tick_media_0", "<u2"),  # low bits of the counters of media as they stood when the window began
        ("tick_media_1", "<u2"),
        # third cache line: written once
        ("first_ns", "<i8"),
        ("first_number", "<i8"),
        ("mac_0", "<i8"),  # 48 bits, -1 where there is none
        ("mac_1", "<i8"),
        ("source", "<i4"),
        ("bucket", "<u4"),
        ("vlan", "<u2"),
        ("ttl_0", "u1"),
        ("ttl_1", "u1"),
        ("pad_3", "u1", 4),
        ("ended_ns", "<i8"),  # packet time at which it had been idle for too long, or was ended
        ("media_0", "<u4"),  # packets that continue a stream of media
        ("media_1", "<u4"),
        # fourth cache line: windows, and real-time media; touched once in a window, and by packets that look like RTP
        ("window_ns", "<i8"),  # when the current window began
        ("media_first_ns", "<i8"),  # of packets that continue a stream of media
        ("media_last_ns", "<i8"),
        ("tick_bytes_0", "<i8"),  # counters as they stood when the window began
        ("tick_bytes_1", "<i8"),
        ("tick_packets_0", "<u4"),
        ("tick_packets_1", "<u4"),
        ("ssrc_0", "<u4"),  # of the last RTP packet (RFC 3550 5.1)
        ("ssrc_1", "<u4"),
        ("rtp_sequence_0", "<u2"),
        ("rtp_sequence_1", "<u2"),
        ("pad_4", "u1", 4),
    ],
    align=False,
)

# What one packet said that somebody has to read on.
CLUE = np.dtype(
    [
        ("kind", "u1"),
        ("side", "u1"),  # which side of the flow row sent it
        ("read", "u1"),  # READ_*: what became of it
        ("proto", "u1"),
        ("slot", "<i4"),
        ("flow_id", "<i8"),
        ("time_ns", "<i8"),
        ("number", "<i8"),
        ("source", "<i4"),
        ("length", "<i4"),  # captured payload bytes
        ("offset", "<i8"),  # of the payload in the batch's buffer; once gathered, in the bytes kept of it
        ("sequence", "<i8"),  # TCP: offset of the payload in its stream
        ("name_offset", "<i8"),  # as `offset`
        (
            "name_length",
            "<i4",
        ),  # of a segment for the decoders: how much of it begins the stream, before what lies at `sequence`
        ("name_id", "<i4"),  # 0: none
        ("src_high", "<i8"),
        ("src_low", "<i8"),
        ("dst_high", "<i8"),
        ("dst_low", "<i8"),
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("vlan", "<u2"),
        ("opener", "u1"),  # side that opened the flow
        ("ttl", "u1"),
        ("src_mac", "<i8"),
        ("dst_mac", "<i8"),
        ("first_ns", "<i8"),  # of the flow
        ("flags", "u1"),  # HELLO_*: what else a ClientHello says
        ("ech_config", "u1"),  # config_id of an outer ECH extension
        ("mark", "<u2"),  # what was told of it beside the loop, 0: nothing; see sensor.outdated
        ("pad_2", "<u4"),
    ],
    align=False,
)

# What one flow carried in one window of packet time, by side.
TICK = np.dtype(
    [
        ("flow_id", "<i8"),
        ("time_ns", "<i8"),  # of the packet that showed that the window is over
        ("start_ns", "<i8"),
        ("bytes_0", "<i8"),
        ("bytes_1", "<i8"),
        ("packets_0", "<u4"),
        ("packets_1", "<u4"),
        ("media_0", "<u4"),
        ("media_1", "<u4"),
        ("pad", "<i8"),
    ],
    align=False,
)

# What the joiner notes of a flow, by its slot.
MARK = np.dtype([("flow_id", "<i8"), ("named", "<i8"), ("told_0", "<i4"), ("told_1", "<i4")])

KIND_NEW_FLOW, KIND_TLS, KIND_HTTP, KIND_DNS, KIND_SEGMENT, KIND_QUIC, KIND_STUN = 1, 2, 3, 4, 5, 6, 7
KIND_CERT, KIND_DTLS, KIND_FIRST, KIND_MEDIA = 8, 9, 10, 11  # the server's certificate, a datagram's hello, first bytes
KIND_NAMING = 12  # a device that names itself to its neighbours
READ_PENDING, READ_DONE, READ_HAND_OVER = 0, 1, 2
HELLO_ECH_OUTER, HELLO_ECH_INNER, HELLO_ESNI = 1, 2, 4  # an outer ECH may be GREASE: one hello does not tell
HELLO_HOST = 16  # a decoder found a host's name in it; the loop notes the same as STATE_NAMED
HELLO_BEGINS = 8  # a stream within the stream begins here: what was put together before is not of it

# Slots of the scratch array `found`, in which the loop's parts tell each other of a packet (int64).
(
    F_NAME,  # place of a name in the buffer
    F_NAME_BYTES,
    F_READ,  # READ_*
    F_NEW_FLOW,
    F_SIDE,
    F_BEGIN,  # where in the stream what is put together begins
    F_FLAGS,  # HELLO_*
    F_ECH_CONFIG,
    F_SIZE,
) = range(9)

PHASE_UNDECIDED, PHASE_COLLECTING, PHASE_DONE, PHASE_LATER = 0, 1, 2, 3  # the last: watched for TLS that begins later
NAMED_ITSELF, NAMED_BY_DNS = 1, 2
NAMED_MATCHED = 4  # a signature matched the name that DNS gave
TIED, LOOSE = 16, 32  # told already
NAMED_SEEN = 64  # DNS or the address told of something that hides what the flow is; its own name may tell otherwise
NAMED_HOST = 128  # its client told a host's name: the server's certificate tells nothing new
NAMED_ASKED = 8  # a DNS question was seen in this flow

TCP_FIN, TCP_SYN, TCP_RST, TCP_ACK = 1, 2, 4, 16
STATE_FIN_0, STATE_FIN_1, STATE_RST, STATE_SYN, STATE_BOTH, STATE_BASE_0, STATE_BASE_1 = 1, 2, 4, 8, 16, 32, 64
STATE_NAMED = 128  # a hello in plain sight had a name

# Every frame ends in exactly one of these; `classified_*` are flows, the rest is ignored or dropped, with the reason.
COUNTERS = (
    "classified_tcp",
    "classified_udp",
    "classified_icmp",
    "classified_other",
    "ignored_link_type",
    "ignored_not_ip",
    "ignored_arp",
    "ignored_llc",
    "ignored_wifi_not_data",
    "ignored_wifi_encrypted",
    "ignored_fragment_waiting",  # came before the fragment with the ports; its bytes count for the flow once that comes
    "ignored_later_fragment",  # as before, and cannot be kept until then
    "dropped_truncated",
    "dropped_malformed",
    "dropped_table_full",
    "dropped_duplicate",  # the mirror showed it before
)
(
    CLASSIFIED_TCP,
    CLASSIFIED_UDP,
    CLASSIFIED_ICMP,
    CLASSIFIED_OTHER,
    IGNORED_LINK_TYPE,
    IGNORED_NOT_IP,
    IGNORED_ARP,
    IGNORED_LLC,
    IGNORED_WIFI_NOT_DATA,
    IGNORED_WIFI_ENCRYPTED,
    IGNORED_FRAGMENT_WAITING,
    IGNORED_LATER_FRAGMENT,
    DROPPED_TRUNCATED,
    DROPPED_MALFORMED,
    DROPPED_TABLE_FULL,
    DROPPED_DUPLICATE,
) = range(len(COUNTERS))

# What `headers.surface` returns in place of a counter where something may be inside: an IP protocol or UDP port of tunnels
# (a flow in any case), an ether type or a link type that carries others.
STEP_PROTO, STEP_UDP, STEP_ETHER, STEP_LINK = 100, 101, 102, 103

# Things noticed beside the accounting of frames; a frame may count in several or in none.
NOTICES = (
    "first_fragments",
    "vlan_tagged",
    "vlan_stacked",
    "snapped",  # captured shorter than on the wire
    "flows_opened",
    "flows_expired",
    "flows_reopened",  # same five-tuple, new connection
    "clock_jumps",
    "collect_limit",  # a stream grew past what is put together for a name
    "bytes_on_wire",
    "ports_unread",  # the packet ends before its ports
    "streams_given_up",  # beginnings of streams that others had to make room for
    "tunnel_vntag",  # `tunnel_*`: such a header was taken off
    "tunnel_pbb",  # a frame in a frame: IEEE 802.1ah, FabricPath
    "tunnel_mpls",
    "tunnel_pppoe",
    "tunnel_ppp",
    "tunnel_nsh",
    "tunnel_ip_in_ip",
    "tunnel_6in4",
    "tunnel_ah",
    "tunnel_etherip",
    "tunnel_gre",
    "tunnel_nvgre",
    "tunnel_pptp",
    "tunnel_erspan",
    "tunnel_l2tp",
    "tunnel_vxlan",
    "tunnel_geneve",
    "tunnel_gtp",
    "tunnel_teredo",
    "tunnel_tzsp",
    "tunnel_capwap",
    "tunnel_lisp",
    "tunnel_ayiya",
    "tunnel_unread",  # what a tunnel carries could not be read: its frame counts for the flow of the tunnel
    "tunnel_too_deep",  # more tunnels in each other than are taken off
    "fragments_joined",  # datagrams put together
    "fragments_overlapping",  # fragments that overlap others: the first to come wins
    "fragments_given_up",  # datagrams of which a part never came, or came too late
)
(
    FIRST_FRAGMENTS,
    VLAN_TAGGED,
    VLAN_STACKED,
    SNAPPED,
    FLOWS_OPENED,
    FLOWS_EXPIRED,
    FLOWS_REOPENED,
    CLOCK_JUMPS,
    COLLECT_LIMIT,
    BYTES_ON_WIRE,
    PORTS_UNREAD,
    STREAMS_GIVEN_UP,
    TUNNEL_VNTAG,
    TUNNEL_PBB,
    TUNNEL_MPLS,
    TUNNEL_PPPOE,
    TUNNEL_PPP,
    TUNNEL_NSH,
    TUNNEL_IP_IN_IP,
    TUNNEL_6IN4,
    TUNNEL_AH,
    TUNNEL_ETHERIP,
    TUNNEL_GRE,
    TUNNEL_NVGRE,
    TUNNEL_PPTP,
    TUNNEL_ERSPAN,
    TUNNEL_L2TP,
    TUNNEL_VXLAN,
    TUNNEL_GENEVE,
    TUNNEL_GTP,
    TUNNEL_TEREDO,
    TUNNEL_TZSP,
    TUNNEL_CAPWAP,
    TUNNEL_LISP,
    TUNNEL_AYIYA,
    TUNNEL_UNREAD,
    TUNNEL_TOO_DEEP,
    FRAGMENTS_JOINED,
    FRAGMENTS_OVERLAPPING,
    FRAGMENTS_GIVEN_UP,
) = range(len(NOTICES))

# One address in a DNS answer.
ANSWER = np.dtype(
    [
        ("clue", "<i4"),  # index of the clue it came with
        ("name_id", "<i4"),  # the name that was asked for
        ("alias_id", "<i4"),  # the last CNAME target on the way, 0 where there was none
        ("ttl_s", "<i4"),
        ("high", "<i8"),
        ("low", "<i8"),
    ]
)

# One thing seen that a signature (or the flow list) wants to know about.
HIT = np.dtype(
    [
        ("clue", "<i4"),
        ("kind", "<i4"),  # HIT_*
        ("name_id", "<i4"),
        ("match", "<i4"),  # what `name_match` says of the name, or the range; 0: nothing, only listed
        ("number", "<i8"),  # frame that proves it: for DNS memory the answer's, not the flow's
        ("time_ns", "<i8"),
        ("source", "<i4"),
        ("device_side", "<i4"),  # 0: the clue's source, 1: its destination
        ("router", "<i4"),  # 1: the device's MAC is a router's, or not visible
    ]
)
(
    HIT_TLS,
    HIT_QUIC,
    HIT_HTTP,
    HIT_DNS_ANSWER,
    HIT_DNS_QUERY,
    HIT_RANGE,
    HIT_STUN,
    HIT_CERT,
    HIT_DTLS,
    HIT_FIRST,
    HIT_MEDIA,
    HIT_TIED,  # a flow of a socket that was in a call, or to a peer that a relay was told of
) = range(1, 13)
# What only the watch for hidden traffic wants: a flow's own name or beginning, what DNS told, what was asked, an address or port.
HIT_SEEN, HIT_SEEN_TOLD, HIT_SEEN_ASKED, HIT_SEEN_ADDRESS = 20, 21, 22, 23

# Idle times after which a flow has ended, in packet time.
NS = 1_000_000_000
IDLE_TCP_NS = 900 * NS
IDLE_TCP_HALF_NS = 30 * NS  # only one side ever spoke
IDLE_TCP_CLOSED_NS = 10 * NS
IDLE_UDP_NS = 180 * NS
IDLE_UDP_HALF_NS = 60 * NS
IDLE_OTHER_NS = 60 * NS

WHEEL_SECONDS = 128
RECHECK_NS = 60 * NS  # a row is looked at this often, so that a closed connection does not hold it for long
CLOCK_BACK_NS = 3600 * NS  # packet time further back than this sets the clock anew

PORT_DNS = 53
PORT_MDNS, PORT_LLMNR, PORT_NBNS = 5353, 5355, 137  # devices name themselves there: RFC 6762, RFC 4795, RFC 1002

HELLO_BYTES = 17408  # a TLS record's most, and what comes before it
COLLECT_BYTES = 65536  # how far into a stream a name is looked for
COLLECT_CLUES = 96
CERTIFICATE_BYTES = 20480  # of a server's stream, as far as its certificates; chains have 2 to 6 KiB, some 15
LATER_BYTES = 65536  # how far into a stream TLS may begin
EARLY_CLUES = 16  # segments kept while the first one has not been seen
QUIC_CLUES = 16
QUIC_REPLY_CLUES = 2  # of the side that seems to answer
DTLS_CLUES = 8  # a hello, the same with a cookie, each in several pieces
STUN_CLUES = 6
FIRST_DATAGRAMS = 3  # of each side whose beginning is compared with what signatures know
FIRST_STREAM_BYTES = 128  # of a stream, for the same
MEDIA_RUN = 16  # packets in sequence of one source before they are taken for real-time media
WINDOW_NS = 10 * NS
NAMING_CLUES = 1  # of each side of a flow: they are only counted, and each costs a decoder

HOUR_NS = 3600 * NS
HOURS = 1024  # kept apart (six weeks); what comes after counts in the last
# Frames of one hour of packet time, and those of them that nothing could be told of: cut off, or no room in the flow table.
HOUR = np.dtype([("hour", "<i8"), ("frames", "<i8"), ("lost", "<i8")])
