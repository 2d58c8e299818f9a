"""The version, for /api/v1/status, build_info and the log."""

VERSION = "0.1.0"
