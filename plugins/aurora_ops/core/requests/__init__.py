"""What a person asks of a single workflow: one model each, from which its form is made and its input checked."""
