"""Values and mathematics that all stages share; NumPy, no torch."""
