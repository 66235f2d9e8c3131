"""Tests of the recipes and measures, on tiny models and texts made in the tests."""
