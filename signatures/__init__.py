"""Signatures, one YAML file per application. Data only; docs/signatures.md describes the format."""
