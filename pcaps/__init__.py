"""Small captures of our own making, and the scripts that make them. Scapy (GPL) is used here and in tests only."""
