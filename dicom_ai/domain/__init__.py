"""Floor 0: the values every floor speaks in. Standard library and numpy only; frozen; units in the name."""
