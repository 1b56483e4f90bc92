"""What DAG files share: defaults, parameters, paths, factories."""
