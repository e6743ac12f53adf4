"""The few exceptions there are. Each becomes one line for the operator; see `sensor.cli`."""


class WardwatchError(Exception):
    """Anything an operator can act on; `exit_status` is what the command ends with."""

    exit_status = 1


class OperatorError(WardwatchError):
    """A mistake in what the operator wrote: command line, configuration, signature."""

    exit_status = 2


class UsageError(OperatorError):
    """A path or an option that cannot be used."""


class ConfigError(OperatorError):
    """A mistake in the TOML file; the message names file, key and reason."""


class SignatureError(OperatorError):
    """A mistake in a signature file; the message names file, line, key and reason."""


class CaptureError(WardwatchError):
    """A capture that gives nothing at all: unreadable, empty, not a capture."""


class StoreError(WardwatchError):
    """A store that cannot be opened, read or written."""


class StoreBusyError(StoreError):
    """It is locked, full or cannot be reached: that may pass."""


class NotifyError(WardwatchError):
    """A message that could not be sent, or a secret that could not be read."""
