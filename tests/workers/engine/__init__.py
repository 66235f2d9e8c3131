"""Tests of the torch room, on tiny models that the tests make, and on the shipped encoder."""
