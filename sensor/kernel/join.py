"""The joiner, in packet-time order: memory of DNS answers, what is known of MAC addresses, which flow is named by what.

It sees clue rows only, never frames.
"""

from __future__ import annotations

import numpy as np

from sensor.kernel.compiling import compiled, inlined
from sensor.kernel.hits import (
    J_ANSWERS,
    J_FLOWS_DNS,
    W_HIGH,
    W_LOW,
    W_MAC,
    W_OTHER_HIGH,
    W_OTHER_LOW,
    W_OTHER_PORT,
    W_PORT,
    W_ROUTER,
    W_SIDE,
    tell,
)
from sensor.kernel.hot import HOT_PEER, PEER, heat, heat_socket, tied
from sensor.kernel.layout import (
    HELLO_ESNI,
    HELLO_HOST,
    HIT_CERT,
    HIT_DNS_QUERY,
    HIT_DTLS,
    HIT_FIRST,
    HIT_HTTP,
    HIT_MEDIA,
    HIT_QUIC,
    HIT_RANGE,
    HIT_SEEN,
    HIT_SEEN_ASKED,
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
    PORT_DNS,
    PORT_MDNS,
    TIED,
)
from sensor.kernel.lookup import range_of
from sensor.kernel.memory import MAC_MARK, WAYS, recall, remember
from sensor.kernel.stations import observe_station, station_of
from sensor.kernel.watch import UDP, watch_new

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


@compiled
def join(clues, begin, answers, answers_from, tables, rules, who, hits, seed):
    """Goes through the clues in order. Returns (clue reached, answers reached, hits written).

    `tables`: (memory, stations, control, marks, hot): MEMORY, STATION, J_*, layout.MARK by slot, HOT; the joiner's own.
    `rules`: (name_match, calls, locals, ranges, watched, everything). `name_match` by name: a positive number where a
    signature can accuse by it, a negative one where the match is only listed; `calls` by match number: whether it speaks of
    a call; `locals`, `ranges`: five int64 arrays each, halves of the lowest and the highest addresses, and each range's
    number; `watched`: what hides traffic, as (by name whether it is watched for, PORT_* by protocol and port, ranges as
    above); `everything`: tell also what no signature knows. `who`: W_* to work in. Stops early where hits might not all fit.
    """
    used = 0
    answer = answers_from
    _, stations, control, _, _ = tables
    _, _, locals_, _, watched, _ = rules
    for i in range(begin, clues.shape[0]):
        if used + WAYS * 2 + 8 > hits.shape[0]:
            return i, answer, used
        clue = clues[i]
        kind = clue["kind"]
        if kind == KIND_SEGMENT and clue["name_id"] == 0:
            continue
        if kind in (KIND_NEW_FLOW, KIND_DNS):
            observe_station(stations, clue, control, seed)
        find_ends(clue, locals_, stations, control, seed, who)
        if kind == KIND_FIRST and watched[0][clue["name_id"]]:
            tell(hits[used], clue, i, HIT_SEEN, clue["name_id"], 0, who)
            used += 1
        while answer < answers.shape[0] and answers[answer]["clue"] < i:
            answer += 1
        after = answer
        while after < answers.shape[0] and answers[after]["clue"] == i:
            after += 1
        if kind == KIND_NEW_FLOW:
            used = new_flow(clue, i, tables, rules, who, hits, used, seed)
        elif kind == KIND_DNS:
            used = dns_message(clue, i, answers, answer, after, tables, rules, who, hits, used, seed)
        elif kind in (KIND_STUN, KIND_FIRST, KIND_MEDIA):
            used = look(clue, i, answers, answer, after, tables, rules, who, hits, used, seed)
        elif clue["name_id"] > 0 or clue["flags"] & HELLO_ESNI:
            used = own_name(clue, i, tables, rules, who, hits, used)
        answer = after
    return clues.shape[0], answer, used


@inlined
def find_ends(clue, locals_, stations, control, seed, who):
    """Which end is the device, and whether its MAC is a router's: leaves W_* in `who`."""
    side = device_side(clue, locals_)
    who[W_SIDE] = side
    if side == 0:
        who[W_HIGH], who[W_LOW], who[W_PORT], who[W_MAC] = (
            clue["src_high"], clue["src_low"], clue["src_port"], clue["src_mac"]
        )  # fmt: skip
        who[W_OTHER_HIGH], who[W_OTHER_LOW], who[W_OTHER_PORT] = clue["dst_high"], clue["dst_low"], clue["dst_port"]
    else:
        who[W_HIGH], who[W_LOW], who[W_PORT], who[W_MAC] = (
            clue["dst_high"], clue["dst_low"], clue["dst_port"], clue["dst_mac"]
        )  # fmt: skip
        who[W_OTHER_HIGH], who[W_OTHER_LOW], who[W_OTHER_PORT] = clue["src_high"], clue["src_low"], clue["src_port"]
    station = station_of(stations, who[W_MAC], control, seed)
    who[W_ROUTER] = 1 if station < 0 or stations[station]["router"] else 0


@inlined
def new_flow(clue, i, tables, rules, who, hits, used, seed):
    """What DNS told of its server, what its address means, whether its socket is in a call. Returns hits used."""
    memory, _, control, marks, hot = tables
    name_match, calls, _, ranges, watched, everything = rules
    mark = marks[clue["slot"]]
    mark["flow_id"] = clue["flow_id"]
    mark["named"] = 0
    mark["told_0"] = 0
    mark["told_1"] = 0
    used, known, matched, call = recall(
        memory, who[W_HIGH], who[W_LOW], clue, i, who, name_match, calls, everything, hits, used, seed
    )
    if not known and not who[W_ROUTER]:
        # The question may have gone over the other IP version: the same station asked.
        used, known, matched, call = recall(
            memory, MAC_MARK, who[W_MAC], clue, i, who, name_match, calls, everything, hits, used, seed
        )
    if known:
        control[J_FLOWS_DNS] += 1
        mark["named"] = NAMED_BY_DNS | NAMED_MATCHED if matched else NAMED_BY_DNS
    if not matched and who[W_OTHER_PORT] not in (PORT_DNS, 80, 443):  # there a name will tell more
        place = range_of(ranges[0], ranges[1], ranges[2], ranges[3], who[W_OTHER_HIGH], who[W_OTHER_LOW])
        if place >= 0 and ranges[4][place]:
            tell(hits[used], clue, i, HIT_RANGE, 0, ranges[4][place], who)
            used += 1
    if clue["proto"] == UDP:
        if call:
            heat_socket(hot, clue, who, seed)
        elif tied(hot, clue, who, seed):
            mark["named"] = mark["named"] | TIED
            tell(hits[used], clue, i, HIT_TIED, 0, 0, who)
            used += 1
    before = used
    used = watch_new(clue, i, memory, who, watched, hits, used, seed)
    if used > before:
        mark["named"] = mark["named"] | NAMED_SEEN
    return used


@inlined
def dns_message(clue, i, answers, answer, after, tables, rules, who, hits, used, seed):
    """Remembers what was answered; tells what was asked. Returns hits used."""
    memory, stations, control, marks, _ = tables
    name_match, _, _, _, watched, everything = rules
    # Only a server answers; of multicast DNS only what is none comes here.
    if clue["src_port"] in (PORT_DNS, PORT_MDNS):
        for k in range(answer, after):
            control[J_ANSWERS] += 1
            remember(memory, clue["dst_high"], clue["dst_low"], answers[k], clue, control, seed)
            asker = station_of(stations, clue["dst_mac"], control, seed)
            if asker >= 0 and not stations[asker]["router"]:
                remember(memory, MAC_MARK, clue["dst_mac"], answers[k], clue, control, seed)
    mark = marks[clue["slot"]]
    # A server's answer to what was never seen asked, as in a mirror of one direction, says what the question was.
    asked = clue["sequence"] == 0 or (clue["src_port"] == PORT_DNS and not mark["named"] & NAMED_ASKED)
    if clue["name_id"] == 0 or not asked:
        return used
    if clue["sequence"] == 0:
        mark["named"] = mark["named"] | NAMED_ASKED
    if watched[0][clue["name_id"]]:
        tell(hits[used], clue, i, HIT_SEEN_ASKED, clue["name_id"], 0, who)
        used += 1
    if everything:  # a question is no use yet
        tell(hits[used], clue, i, HIT_DNS_QUERY, clue["name_id"], abs(name_match[clue["name_id"]]), who)
        used += 1
    return used


@inlined
def look(clue, i, answers, answer, after, tables, rules, who, hits, used, seed):
    """STUN, first bytes, media: what the packet looks like, and which sockets it puts into a call. Returns hits used."""
    _, _, _, marks, hot = tables
    name_match, calls, _, _, _, everything = rules
    kind = clue["kind"]
    match = np.int64(abs(name_match[clue["name_id"]])) if clue["name_id"] > 0 else np.int64(0)
    mark = marks[clue["slot"]]
    own = match > 0 and calls[match] != 0
    if own and clue["proto"] == UDP:
        heat_socket(hot, clue, who, seed)
    if own or mark["named"] & TIED:
        for k in range(answer, after):
            peer = answers[k]
            if peer["name_id"] == PEER:
                heat(hot, peer["high"], peer["low"], np.int64(peer["alias_id"]), HOT_PEER, clue["time_ns"], seed)
    if not own and not mark["named"] & TIED and clue["proto"] == UDP and tied(hot, clue, who, seed):
        mark["named"] = mark["named"] | TIED
        tell(hits[used], clue, i, HIT_TIED, 0, 0, who)
        used += 1
    loose = kind == KIND_STUN and not own and not mark["named"] & LOOSE
    if loose:  # its socket may turn out to be a call's
        mark["named"] = mark["named"] | LOOSE
    if everything or loose or kind == KIND_MEDIA or (match > 0 and is_new(mark, match)):
        tell(hits[used], clue, i, HIT_OF_KIND[kind], clue["name_id"], match, who)
        used += 1
    return used


@inlined
def own_name(clue, i, tables, rules, who, hits, used):
    """A name that the flow shows itself. Returns hits used."""
    name_match, _, _, _, watched, everything = rules
    mark = tables[3][clue["slot"]]
    hidden = clue["flags"] & HELLO_ESNI
    if watched[0][clue["name_id"]] or hidden or mark["named"] & NAMED_SEEN:
        tell(hits[used], clue, i, HIT_SEEN, clue["name_id"], 0, who)
        used += 1
    if clue["name_id"] == 0 or (clue["kind"] == KIND_CERT and mark["named"] & NAMED_HOST):
        return used
    mark["named"] = mark["named"] | (NAMED_ITSELF | NAMED_HOST if clue["flags"] & HELLO_HOST else NAMED_ITSELF)
    match = name_match[clue["name_id"]]
    # A flow's own name also overrules what DNS let one expect, so it is told even where no signature knows it.
    if match > 0 or everything or mark["named"] & NAMED_MATCHED:
        tell(hits[used], clue, i, HIT_OF_KIND[clue["kind"]], clue["name_id"], abs(match), who)
        used += 1
    return used


@inlined
def is_new(mark, match):
    """Whether a flow has not told this lately: relays are asked again and again, in several dialects. Notes it."""
    if mark["told_0"] == match or mark["told_1"] == match:
        return False
    mark["told_1"] = mark["told_0"]
    mark["told_0"] = match
    return True


@compiled
def device_side(clue, locals_):
    """Which end of the flow is the device: the local one where just one is, else the one that opened the flow."""
    src = range_of(locals_[0], locals_[1], locals_[2], locals_[3], clue["src_high"], clue["src_low"]) >= 0
    dst = range_of(locals_[0], locals_[1], locals_[2], locals_[3], clue["dst_high"], clue["dst_low"]) >= 0
    if src != dst:
        return 0 if src else 1
    return 0 if clue["opener"] == clue["side"] else 1
