"""Task groups that only a whole refresh has: its beginning and its end."""
