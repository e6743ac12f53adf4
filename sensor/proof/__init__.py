"""Proof packs, their verification, and reports."""
