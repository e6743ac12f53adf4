"""One module for each command; imported by `sensor.cli` only when it is called."""
