"""How fast the engine is against its own limits; METHODOLOGY.md defines every number."""
