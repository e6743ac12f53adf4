"""Where frames come from: capture files, folders of them, standard input."""

from sensor.capture.planning import Plan, plan
from sensor.capture.source import CaptureSource, open_paths, open_plan

__all__ = ["CaptureSource", "Plan", "open_paths", "open_plan", "plan"]
