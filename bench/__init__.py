"""Benchmarks: ratios against a baseline of the same run. None of this is part of the bot."""
