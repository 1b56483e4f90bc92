"""Extensions of moto's services, one module each; ``install(cloud)`` runs before the first request."""
