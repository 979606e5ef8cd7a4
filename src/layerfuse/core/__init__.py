"""The nouns every stage speaks: plain frozen values on NumPy, no torch, no I/O."""
