"""One room per network, and what they share. A channel process stays light: no torch, no transformers."""
