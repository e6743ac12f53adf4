"""What a capture may ask of us at most. Each cap says why it is where it is; none of them allocates before data arrive."""

# Bytes read at a time from one file; the default of `open_paths`.
CHUNK_BYTES = 4 << 20

# A smaller chunk would only be grown again at once: a classic pcap's file header has 24 bytes, a section header 28.
MIN_CHUNK_BYTES = 32

# Frames in one batch.
MAX_FRAMES = 65_536

# Captured bytes of one packet. libpcap's largest snaplen is 262144; beyond 1 MiB the length is damage, not a packet.
MAX_RECORD_BYTES = 1 << 20

# One pcapng block that must be read whole: a packet of MAX_RECORD_BYTES with as much again of options (comments, hashes).
# Blocks of kinds that we skip may be of any length: they are passed over without being kept.
MAX_BLOCK_BYTES = 2 << 20

# Interfaces in one pcapng section. mergecap writes one for each merged file; more than this is a flood, not a network.
MAX_INTERFACES = 65_536

# Files merged packet by packet at the same time: each holds a descriptor and a buffer. More than these that overlap in
# time wait until one of them ends, and a warning says so.
MAX_MERGED = 64

# The chunk of a file that joins others already being merged is a share of `chunk_bytes`, but never less than this.
MIN_MERGED_CHUNK_BYTES = 256 << 10

# Window of a zstd frame: what `zstd -d` accepts without --long. A frame may ask for up to 3.75 TiB.
MAX_ZSTD_WINDOW_BYTES = 128 << 20

# Output asked of the gzip decoder at a time, and input read for it.
GZIP_PIECE_BYTES = 256 << 10
COMPRESSED_READ_BYTES = 64 << 10
