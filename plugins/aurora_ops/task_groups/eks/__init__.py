"""Capabilities on EKS."""
