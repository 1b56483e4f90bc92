"""A small Kubernetes API for the EKS clusters: objects, their rules and controllers; a Job's command really runs."""
