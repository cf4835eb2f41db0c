"""The rig of `market collect`: a simulated exchange, the collectors, the clock, and the tables."""
