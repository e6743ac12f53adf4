"""Packs, their making and their checking."""
