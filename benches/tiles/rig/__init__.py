"""The speed rig of `tiles get`: an origin of known tiles, the clients, the clock, and the tables."""
