"""Task groups of the restore pipeline."""
