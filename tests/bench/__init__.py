"""The benchmark: `python -m tests.bench` (`make bench`). wardwatch, ndpiReader and tshark over the same packets, in turn."""
