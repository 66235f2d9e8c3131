"""Recipes that make and measure the models that ship: data in, weights out.

Nothing in here runs in the bot. Data is never part of the repository; every recipe takes ``--data``.
"""
