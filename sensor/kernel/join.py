"""The joiner, in packet-time order: memory of DNS answers, what is known of MAC addresses, which flow is named by what.

It sees clue rows only, never frames.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.layout import (
    HELLO_ESNI,
    HELLO_HOST,
    HIT_CERT,
    HIT_DNS_ANSWER,
    HIT_DNS_QUERY,
    HIT_DTLS,
    HIT_FIRST,
    HIT_HTTP,
    HIT_MEDIA,
    HIT_QUIC,
    HIT_RANGE,
    HIT_SEEN,
    HIT_SEEN_ADDRESS,
    HIT_SEEN_ASKED,
    HIT_SEEN_TOLD,
    HIT_STUN,
    HIT_TIED,
    HIT_TLS,
    KIND_CERT,
    KIND_DNS,
    KIND_DTLS,
    KIND_FIRST,
    KIND_HTTP,
    KIND_MEDIA,
    KIND_NEW_FLOW,
    KIND_QUIC,
    KIND_SEGMENT,
    KIND_STUN,
    KIND_TLS,
    LOOSE,
    NAMED_ASKED,
    NAMED_BY_DNS,
    NAMED_HOST,
    NAMED_ITSELF,
    NAMED_MATCHED,
    NAMED_SEEN,
    NS,
    PORT_DNS,
    PORT_MDNS,
    TIED,
)
from sensor.kernel.lookup import range_of
from sensor.kernel.table import mix

# What DNS answered to whom. Sets of WAYS entries; the one that runs out first makes room.
MEMORY = np.dtype(
    [
        ("client_high", "<i8"),  # an address, or MAC_MARK and the client's MAC
        ("client_low", "<i8"),
        ("server_high", "<i8"),
        ("server_low", "<i8"),
        ("name_id", "<i4"),  # 0: free
        ("alias_id", "<i4"),
        ("expires_ns", "<i8"),
        ("time_ns", "<i8"),
        ("number", "<i8"),
        ("source", "<i4"),
        ("pad", "<i4"),
    ]
)
WAYS = 8
TCP, UDP, ESP = 6, 17, 50
PORT_ANYWHERE, PORT_SOMEWHERE = 1, 2  # means something at any address, at the watched ranges
MAC_MARK = np.int64(-0x5A5A5A5A5A5A5A5A)  # no IPv6 prefix in use looks like this

# Sockets in a call, and peers that were named to a relay: an address and a port. Sets of HOT_WAYS entries.
HOT = np.dtype([("high", "<i8"), ("low", "<i8"), ("port", "<i4"), ("kind", "<i4"), ("expires_ns", "<i8")])
HOT_WAYS = 4
HOT_SOCKET, HOT_PEER = 1, 2
HOT_NS = 120 * NS  # relays are asked before a call's media and now and then during it
PEER = np.int32(-1)  # in `answers.name_id`: not an address of a name but of a peer, `alias_id` its port

# What is known of a MAC address.
STATION = np.dtype([("mac", "<i8"), ("ipv4", "<i8", 3), ("count", "<i4"), ("router", "<i4")])

# Slots of the joiner's `control` array (int64).
J_MEMORY_EVICTED, J_STATIONS, J_STATIONS_FULL, J_ANSWERS, J_FLOWS_DNS, J_SIZE = range(6)

# What is told of a clue that names its flow, by KIND_*.
HIT_OF_KIND = np.zeros(16, np.int32)
HIT_OF_KIND[KIND_TLS] = HIT_TLS
HIT_OF_KIND[KIND_HTTP] = HIT_HTTP
HIT_OF_KIND[KIND_QUIC] = HIT_QUIC
HIT_OF_KIND[KIND_STUN] = HIT_STUN
HIT_OF_KIND[KIND_CERT] = HIT_CERT
HIT_OF_KIND[KIND_DTLS] = HIT_DTLS
HIT_OF_KIND[KIND_FIRST] = HIT_FIRST
HIT_OF_KIND[KIND_MEDIA] = HIT_MEDIA

# An address is used for longer than its TTL says: resolvers and browsers hold it for a minute at least, and connections
# are opened late from what an app remembers.
TTL_LEAST_NS = 60 * NS
TTL_GRACE_NS = 300 * NS


@inlined
def is_private(high, low):
    """RFC 1918, 6598, 3927, 1122 loopback; RFC 4193 and link-local for IPv6."""
    if high == 0 and (low >> 32) == 0xFFFF:
        a = (low >> 24) & 0xFF
        b = (low >> 16) & 0xFF
        return (
            a == 10
            or (a == 172 and 16 <= b < 32)
            or (a == 192 and b == 168)
            or (a == 100 and 64 <= b < 128)
            or (a == 169 and b == 254)
            or a == 127
        )
    top = (high >> 56) & 0xFF
    return top in (0xFC, 0xFD) or (top == 0xFE and ((high >> 48) & 0xC0) == 0x80)


@inlined
def is_link_local(high, low):
    """RFC 3927; RFC 4291 2.5.6."""
    if high == 0 and (low >> 32) == 0xFFFF:
        return (low >> 16) & 0xFFFF == 0xA9FE
    return (high >> 48) & 0xFFC0 == 0xFE80


@compiled
def station_of(stations, mac, control, seed):
    """The row of a MAC address; -1 where the table is full or there is no unicast MAC."""
    if mac <= 0 or (mac >> 40) & 1:
        return np.int64(-1)
    mask = np.uint64(stations.shape[0] - 1)
    place = mix(np.uint64(mac) ^ seed) & mask
    for _ in range(stations.shape[0]):
        known = stations[place]["mac"]
        if known == mac:
            return np.int64(place)
        if known == 0:
            if control[J_STATIONS] * 4 >= stations.shape[0] * 3:
                control[J_STATIONS_FULL] += 1
                return np.int64(-1)
            control[J_STATIONS] += 1
            stations[place]["mac"] = mac
            return np.int64(place)
        place = (place + np.uint64(1)) & mask
    return np.int64(-1)


@compiled
def observe_station(stations, clue, control, seed):
    """Learns from a packet's sender whether its MAC is a router's.

    It is, if it carries an address from outside beside one from inside, packets that were routed (their hop limit is not
    one that systems start with), or three IPv4 addresses or more.
    """
    place = station_of(stations, clue["src_mac"], control, seed)
    if place < 0:
        return
    row = stations[place]
    if row["router"]:
        return
    high, low = clue["src_high"], clue["src_low"]
    ttl = clue["ttl"]
    inside = is_private(high, low)
    # What goes to a link-local address was not routed (RFC 4291 2.5.6): hosts announce their global ones to the router there.
    on_link = is_link_local(clue["dst_high"], clue["dst_low"])
    if not inside and not on_link and is_private(clue["dst_high"], clue["dst_low"]):
        row["router"] = 1
        return
    multicast = (clue["dst_mac"] >> 40) & 1
    if not multicast and ttl not in (32, 64, 128, 255) and ttl > 1:
        row["router"] = 1
        return
    if high == 0 and low & 0xFFFFFFFF and (low >> 16) & 0xFFFF != 0xA9FE:
        for i in range(row["count"]):
            if row["ipv4"][i] == low:
                return
        if row["count"] >= 2:
            row["router"] = 1
            return
        row["ipv4"][row["count"]] = low
        row["count"] += 1


@inlined
def set_of(memory, client_high, client_low, server_high, server_low, seed):
    state = mix(np.uint64(client_low) ^ seed)
    state = mix(state ^ np.uint64(client_high))
    state = mix(state ^ np.uint64(server_low))
    state = mix(state ^ np.uint64(server_high))
    return np.int64(state & np.uint64(memory.shape[0] // WAYS - 1)) * WAYS


@compiled
def remember(memory, client_high, client_low, answer, clue, control, seed):
    """Notes that this client was told this address for this name."""
    first = set_of(memory, client_high, client_low, answer["high"], answer["low"], seed)
    ttl_ns = np.int64(answer["ttl_s"]) * NS
    expires = clue["time_ns"] + max(ttl_ns, TTL_LEAST_NS) + TTL_GRACE_NS
    oldest = first
    for i in range(first, first + WAYS):
        row = memory[i]
        same = (
            row["name_id"] == answer["name_id"]
            and row["server_low"] == answer["low"]
            and row["client_low"] == client_low
            and row["server_high"] == answer["high"]
            and row["client_high"] == client_high
        )
        if same or row["name_id"] == 0:
            oldest = i
            break
        if row["expires_ns"] < memory[oldest]["expires_ns"]:
            oldest = i
    row = memory[oldest]
    if row["name_id"] != 0 and row["expires_ns"] > clue["time_ns"] and row["name_id"] != answer["name_id"]:
        control[J_MEMORY_EVICTED] += 1
    row["client_high"] = client_high
    row["client_low"] = client_low
    row["server_high"] = answer["high"]
    row["server_low"] = answer["low"]
    row["name_id"] = answer["name_id"]
    row["alias_id"] = answer["alias_id"]
    row["expires_ns"] = expires
    row["time_ns"] = clue["time_ns"]
    row["number"] = clue["number"]
    row["source"] = clue["source"]


@inlined
def hot_set(hot, high, low, port, seed):
    state = mix(np.uint64(low) ^ seed)
    state = mix(state ^ np.uint64(high) ^ np.uint64(port))
    return np.int64(state & np.uint64(hot.shape[0] // HOT_WAYS - 1)) * HOT_WAYS


@compiled
def heat(hot, high, low, port, kind, time_ns, seed):
    """Notes that this address and port are part of a call."""
    first = hot_set(hot, high, low, port, seed)
    oldest = first
    for i in range(first, first + HOT_WAYS):
        row = hot[i]
        if row["low"] == low and row["port"] == port and row["high"] == high and row["kind"] == kind:
            oldest = i
            break
        if row["expires_ns"] < hot[oldest]["expires_ns"]:
            oldest = i
    row = hot[oldest]
    row["high"] = high
    row["low"] = low
    row["port"] = port
    row["kind"] = kind
    row["expires_ns"] = time_ns + HOT_NS


@compiled
def is_hot(hot, high, low, port, kind, time_ns, seed):
    first = hot_set(hot, high, low, port, seed)
    for i in range(first, first + HOT_WAYS):
        row = hot[i]
        if row["low"] == low and row["port"] == port and row["high"] == high and row["kind"] == kind:
            return row["expires_ns"] >= time_ns
    return False


@compiled
def write_hit(hit, clue_index, kind, name_id, match, number, time_ns, source, side, router):
    hit["clue"] = clue_index
    hit["kind"] = kind
    hit["name_id"] = name_id
    hit["match"] = match
    hit["number"] = number
    hit["time_ns"] = time_ns
    hit["source"] = source
    hit["device_side"] = side
    hit["router"] = router


@inlined
def answers_to(row, client_high, client_low, server_high, server_low, time_ns):
    return (
        row["name_id"] != 0
        and row["server_low"] == server_low
        and row["client_low"] == client_low
        and row["server_high"] == server_high
        and row["client_high"] == client_high
        and row["expires_ns"] >= time_ns
    )


@inlined
def telling_name(row, name_match):
    """The name that was asked for, or the last alias on the way where only that one means something."""
    if name_match[row["name_id"]] <= 0 and row["alias_id"] > 0 and name_match[row["alias_id"]] > 0:
        return row["alias_id"]
    return row["name_id"]


@compiled
def recall(memory, client_high, client_low, clue, clue_index, server_high, server_low, name_match, calls, everything,
           hits, used, side, router, seed):  # fmt: skip
    """Hits for each name that DNS told this client for this server, where a signature knows one of them.

    Returns (hits used, whether there was any name, whether a signature knows one, whether one speaks of a call).
    """
    first = set_of(memory, client_high, client_low, server_high, server_low, seed)
    known = False
    matched = False
    call = False
    for i in range(first, first + WAYS):
        row = memory[i]
        if answers_to(row, client_high, client_low, server_high, server_low, clue["time_ns"]):
            known = True
            match = name_match[telling_name(row, name_match)]
            matched = matched or match > 0
            call = call or (match > 0 and calls[match] != 0)
    if not known or not (matched or everything):
        return used, known, matched, call
    for i in range(first, first + WAYS):
        row = memory[i]
        if answers_to(row, client_high, client_low, server_high, server_low, clue["time_ns"]):
            name_id = telling_name(row, name_match)
            write_hit(
                hits[used], clue_index, HIT_DNS_ANSWER, name_id, abs(name_match[name_id]), row["number"],
                row["time_ns"], row["source"], side, router,
            )  # fmt: skip
            used += 1
    return used, known, matched, call


@compiled
def told_of(memory, client_high, client_low, server_high, server_low, time_ns, see, seed):
    """The memory's row by which DNS told this client of a name that is watched for, at this address; -1 where it did not."""
    first = set_of(memory, client_high, client_low, server_high, server_low, seed)
    for i in range(first, first + WAYS):
        row = memory[i]
        if answers_to(row, client_high, client_low, server_high, server_low, time_ns):
            if see[row["name_id"]] or see[row["alias_id"]]:
                return i
    return np.int64(-1)


@compiled
def place_of_port(proto):
    """The row of a protocol in the table of watched ports; -1 where none is watched."""
    if proto == TCP:
        return 0
    if proto == UDP:
        return 1
    return 2 if proto == ESP else -1


@compiled
def watch_new(clue, clue_index, memory, client_high, client_low, server_high, server_low, port, watched,
              hits, used, side, router, seed):  # fmt: skip
    """What DNS told of a new flow's server, and what its address and port mean. Returns hits used."""
    see, ports, ranges = watched
    place = told_of(memory, client_high, client_low, server_high, server_low, clue["time_ns"], see, seed)
    if place < 0 and not router:
        mac = clue["src_mac"] if side == 0 else clue["dst_mac"]
        place = told_of(memory, MAC_MARK, mac, server_high, server_low, clue["time_ns"], see, seed)
    if place >= 0:
        row = memory[place]
        name_id = row["name_id"] if see[row["name_id"]] else row["alias_id"]
        write_hit(hits[used], clue_index, HIT_SEEN_TOLD, name_id, 0, row["number"], row["time_ns"], row["source"],
                  side, router)  # fmt: skip
        used += 1
    proto = place_of_port(clue["proto"])
    if proto < 0:
        return used
    watch = ports[proto, port]
    if watch == PORT_ANYWHERE or (
        watch == PORT_SOMEWHERE and range_of(ranges[0], ranges[1], ranges[2], ranges[3], server_high, server_low) >= 0
    ):
        write_hit(hits[used], clue_index, HIT_SEEN_ADDRESS, 0, 0, clue["number"], clue["time_ns"], clue["source"],
                  side, router)  # fmt: skip
        used += 1
    return used


@compiled
def join(clues, begin, answers, answers_from, memory, stations, control, name_match, locals_, ranges,
         everything, marks, watched, hot, calls, hits, seed):  # fmt: skip
    """Goes through the clues in order. Returns (clue reached, answers reached, hits written).

    `locals_`, `ranges`: five int64 arrays each: halves of the lowest and the highest addresses, and each range's number.
    `name_match` by name: a positive number where a signature can accuse by it, a negative one where the match is only listed.
    `marks`: layout.MARK by slot, kept here alone. `watched`: what hides traffic, as (by name whether it is watched for,
    PORT_* by protocol and port, ranges as above). `hot`: HOT rows. `calls` by match number: whether it speaks of a call. Stops early where hits might not
    all fit.
    """
    used = 0
    answer = answers_from
    see = watched[0]
    for i in range(begin, clues.shape[0]):
        if used + WAYS * 2 + 8 > hits.shape[0]:
            return i, answer, used
        clue = clues[i]
        kind = clue["kind"]
        if kind == KIND_SEGMENT and clue["name_id"] == 0:
            continue
        if kind in (KIND_NEW_FLOW, KIND_DNS):
            observe_station(stations, clue, control, seed)
        side = device_side(clue, locals_)
        if side == 0:
            device_high, device_low, mac = clue["src_high"], clue["src_low"], clue["src_mac"]
            other_high, other_low = clue["dst_high"], clue["dst_low"]
        else:
            device_high, device_low, mac = clue["dst_high"], clue["dst_low"], clue["dst_mac"]
            other_high, other_low = clue["src_high"], clue["src_low"]
        if side == 0:
            device_port, other_port = clue["src_port"], clue["dst_port"]
        else:
            device_port, other_port = clue["dst_port"], clue["src_port"]
        station = station_of(stations, mac, control, seed)
        router = 1 if station < 0 or stations[station]["router"] else 0
        if kind == KIND_FIRST and see[clue["name_id"]]:
            write_hit(hits[used], i, HIT_SEEN, clue["name_id"], 0, clue["number"], clue["time_ns"], clue["source"],
                      side, router)  # fmt: skip
            used += 1
        if kind == KIND_NEW_FLOW:
            marks[clue["slot"]]["flow_id"] = clue["flow_id"]
            marks[clue["slot"]]["named"] = 0
            marks[clue["slot"]]["told_0"] = 0
            marks[clue["slot"]]["told_1"] = 0
            used, known, matched, call = recall(
                memory, device_high, device_low, clue, i, other_high, other_low, name_match, calls, everything, hits, used,
                side, router, seed,
            )  # fmt: skip
            if not known and not router:
                # The question may have gone over the other IP version: the same station asked.
                used, known, matched, call = recall(
                    memory, MAC_MARK, mac, clue, i, other_high, other_low, name_match, calls, everything, hits, used,
                    side, router, seed,
                )  # fmt: skip
            if known:
                control[J_FLOWS_DNS] += 1
                marks[clue["slot"]]["named"] = NAMED_BY_DNS | NAMED_MATCHED if matched else NAMED_BY_DNS
            place = np.int64(-1)
            if not matched and other_port not in (PORT_DNS, 80, 443):  # there a name will tell more
                place = range_of(ranges[0], ranges[1], ranges[2], ranges[3], other_high, other_low)
            if place >= 0 and ranges[4][place]:
                write_hit(hits[used], i, HIT_RANGE, 0, ranges[4][place], clue["number"], clue["time_ns"],
                          clue["source"], side, router)  # fmt: skip
                used += 1
            if call and clue["proto"] == UDP:
                heat(hot, device_high, device_low, device_port, HOT_SOCKET, clue["time_ns"], seed)
            elif clue["proto"] == UDP and tied(hot, clue, device_high, device_low, device_port,
                                             other_high, other_low, other_port, seed):  # fmt: skip
                marks[clue["slot"]]["named"] = marks[clue["slot"]]["named"] | TIED
                write_hit(hits[used], i, HIT_TIED, 0, 0, clue["number"], clue["time_ns"], clue["source"], side, router)
                used += 1
            before = used
            used = watch_new(clue, i, memory, device_high, device_low, other_high, other_low, other_port, watched, hits, used,
                             side, router, seed)  # fmt: skip
            if used > before:
                marks[clue["slot"]]["named"] |= NAMED_SEEN
        elif kind == KIND_DNS:
            while answer < answers.shape[0] and answers[answer]["clue"] < i:
                answer += 1
            while answer < answers.shape[0] and answers[answer]["clue"] == i:
                row = answers[answer]
                answer += 1
                if clue["src_port"] != PORT_DNS and clue["src_port"] != PORT_MDNS:
                    continue  # only a server answers; of multicast DNS only what is none comes here
                control[J_ANSWERS] += 1
                remember(memory, clue["dst_high"], clue["dst_low"], row, clue, control, seed)
                asker = station_of(stations, clue["dst_mac"], control, seed)
                if asker >= 0 and not stations[asker]["router"]:
                    remember(memory, MAC_MARK, clue["dst_mac"], row, clue, control, seed)
            row = marks[clue["slot"]]
            # A server's answer to what was never seen asked, as in a mirror of one direction, says what the question was.
            asked = clue["sequence"] == 0 or (clue["src_port"] == PORT_DNS and not row["named"] & NAMED_ASKED)
            if clue["name_id"] > 0 and clue["sequence"] == 0:
                row["named"] = row["named"] | NAMED_ASKED
            if clue["name_id"] > 0 and asked:
                if see[clue["name_id"]]:
                    write_hit(hits[used], i, HIT_SEEN_ASKED, clue["name_id"], 0, clue["number"], clue["time_ns"],
                              clue["source"], side, router)  # fmt: skip
                    used += 1
                match = name_match[clue["name_id"]]
                if everything:  # a question is no use yet
                    write_hit(hits[used], i, HIT_DNS_QUERY, clue["name_id"], abs(match), clue["number"],
                              clue["time_ns"], clue["source"], side, router)  # fmt: skip
                    used += 1
        elif kind in (KIND_STUN, KIND_FIRST, KIND_MEDIA):
            match = np.int64(0)
            if clue["name_id"] > 0:
                match = np.int64(abs(name_match[clue["name_id"]]))
            row = marks[clue["slot"]]
            own = match > 0 and calls[match] != 0
            if own and clue["proto"] == UDP:
                heat(hot, device_high, device_low, device_port, HOT_SOCKET, clue["time_ns"], seed)
            peers = own or (row["named"] & TIED) != 0
            while answer < answers.shape[0] and answers[answer]["clue"] < i:
                answer += 1
            while answer < answers.shape[0] and answers[answer]["clue"] == i:
                peer = answers[answer]
                answer += 1
                if peers and peer["name_id"] == PEER:
                    heat(hot, peer["high"], peer["low"], np.int64(peer["alias_id"]), HOT_PEER, clue["time_ns"], seed)
            if (
                not own
                and (row["named"] & TIED) == 0
                and clue["proto"] == UDP
                and tied(hot, clue, device_high, device_low, device_port, other_high, other_low, other_port, seed)
            ):
                row["named"] = row["named"] | TIED
                write_hit(hits[used], i, HIT_TIED, 0, 0, clue["number"], clue["time_ns"], clue["source"], side, router)
                used += 1
            loose = kind == KIND_STUN and not own and (row["named"] & LOOSE) == 0
            if loose:  # its socket may turn out to be a call's
                row["named"] = row["named"] | LOOSE
            if everything or loose or kind == KIND_MEDIA or (match > 0 and is_new(row, match)):
                write_hit(hits[used], i, HIT_OF_KIND[kind], clue["name_id"], match, clue["number"], clue["time_ns"],
                          clue["source"], side, router)  # fmt: skip
                used += 1
        elif clue["name_id"] > 0 or clue["flags"] & HELLO_ESNI:
            if see[clue["name_id"]] or clue["flags"] & HELLO_ESNI or marks[clue["slot"]]["named"] & NAMED_SEEN:
                write_hit(hits[used], i, HIT_SEEN, clue["name_id"], 0, clue["number"], clue["time_ns"], clue["source"],
                          side, router)  # fmt: skip
                used += 1
            if clue["name_id"] == 0:
                continue
            match = name_match[clue["name_id"]]
            row = marks[clue["slot"]]
            if kind == KIND_CERT and row["named"] & NAMED_HOST:
                continue
            row["named"] = row["named"] | (NAMED_ITSELF | NAMED_HOST if clue["flags"] & HELLO_HOST else NAMED_ITSELF)
            # A flow's own name also overrules what DNS let one expect, so it is told even where no signature knows it.
            if match > 0 or everything or row["named"] & NAMED_MATCHED:
                write_hit(hits[used], i, HIT_OF_KIND[kind], clue["name_id"], abs(match), clue["number"], clue["time_ns"],
                          clue["source"], side, router)  # fmt: skip
                used += 1
    return clues.shape[0], answer, used


@inlined
def is_new(mark, match):
    """Whether a flow has not told this lately: relays are asked again and again, in several dialects. Notes it."""
    if mark["told_0"] == match or mark["told_1"] == match:
        return False
    mark["told_1"] = mark["told_0"]
    mark["told_0"] = match
    return True


@compiled
def tied(hot, clue, device_high, device_low, device_port, other_high, other_low, other_port, seed):
    """Whether a datagram's flow belongs to a call by its socket, or by the peer; then the socket is in it as well."""
    time_ns = clue["time_ns"]
    if not is_hot(hot, device_high, device_low, device_port, HOT_SOCKET, time_ns, seed) and not is_hot(
        hot, other_high, other_low, other_port, HOT_PEER, time_ns, seed
    ):
        return False
    heat(hot, device_high, device_low, device_port, HOT_SOCKET, time_ns, seed)
    return True


@compiled
def device_side(clue, locals_):
    """Which end of the flow is the device: the local one where just one is, else the one that opened the flow."""
    src = range_of(locals_[0], locals_[1], locals_[2], locals_[3], clue["src_high"], clue["src_low"]) >= 0
    dst = range_of(locals_[0], locals_[1], locals_[2], locals_[3], clue["dst_high"], clue["dst_low"]) >= 0
    if src != dst:
        return 0 if src else 1
    return 0 if clue["opener"] == clue["side"] else 1
