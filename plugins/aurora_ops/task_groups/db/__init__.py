"""Task groups on Aurora clusters and their data."""
