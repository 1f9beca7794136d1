"""Crash tests: real runners, killed for good at every point where they can die, against a real twin over HTTP."""
