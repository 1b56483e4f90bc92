"""Identity policies enforced: what a call needs, and whether the policies of its caller allow that."""
