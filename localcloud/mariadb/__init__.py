"""A real MariaDB server behind every Aurora cluster of localcloud."""
