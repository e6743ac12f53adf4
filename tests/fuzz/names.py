"""Names of the targets that are no decoders."""

KERNEL, PIPELINE = "kernel", "pipeline"
