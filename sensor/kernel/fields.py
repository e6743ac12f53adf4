"""Header fields of one frame, in the int64 scratch array that `headers.locate` fills."""

from __future__ import annotations

(
    H_PROTO,
    H_SRC_HIGH,
    H_SRC_LOW,
    H_DST_HIGH,
    H_DST_LOW,
    H_SRC_PORT,
    H_DST_PORT,
    H_PAYLOAD,
    H_END,  # end of what was captured of the payload
    H_MISSING,  # bytes of the payload that the capture cut off
    H_TCP_FLAGS,
    H_SEQUENCE,
    H_VLAN,
    H_TTL,
    H_SRC_MAC,
    H_DST_MAC,
    H_IP_AT,  # where the innermost IP header begins
    H_TRANSPORT_AT,  # where what follows it begins
    H_FRAGMENT,  # FRAGMENT_*; 0: the packet is none
    H_KEPT,  # up to here: kept while a tunnel is looked into
    H_SIDE,
    H_BUCKET,
    H_WARMED,
    H_NEXT_AT,  # what a tunnel carries: where it begins, where what was captured of it ends, where it ended on the wire
    H_NEXT_END,
    H_NEXT_WIRE,
    H_NEXT_TYPE,  # an ether type, or a link type
    H_WHY,  # counter of a frame in which there is no flow
    H_PART_AT,  # the outermost fragment: its IP header, where its data begin and end, what the capture cut off them
    H_PART_DATA,
    H_PART_STOP,
    H_PART_MISSING,
    H_PART_OFFSET,  # of its data in the datagram, in bytes
    H_PART_MORE,
    H_PART_PROTO,
    H_PART_IDENT,
    H_PART_VLAN,
    H_PART_SRC_MAC,
    H_PART_DST_MAC,
    H_WAITED_BYTES,  # on the wire, of fragments that came before their flow was known
    H_SAVED,  # room for the first H_KEPT fields
) = range(41)
H_SIZE = H_SAVED + H_KEPT

# The last two lie in a buffer of their own: a datagram put together, and one such that is a first fragment itself.
FRAGMENT_FIRST, FRAGMENT_LATER, FRAGMENT_WHOLE, FRAGMENT_FIRST_WITHIN = 1, 2, 3, 4
