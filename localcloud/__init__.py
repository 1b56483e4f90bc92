"""AWS on one machine: moto server with Aurora's rules added, and a real database behind every cluster."""
