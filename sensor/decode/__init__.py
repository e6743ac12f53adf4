"""Decoders, one file per protocol: bytes in; a value, None (need more bytes) or Malformed out."""
