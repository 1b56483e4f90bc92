"""Task groups that look after what the others leave."""
