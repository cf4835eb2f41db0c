"""What the rigs of several programs share."""
