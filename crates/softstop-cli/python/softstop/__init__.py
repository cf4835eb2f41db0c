"""The command ``softstop``: shows how well any program stops. There is nothing to import; ``python -m softstop`` runs it."""
