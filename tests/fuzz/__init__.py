"""Hostile bytes: a corpus of what no sender should send, and a fuzzer that begins with it."""
