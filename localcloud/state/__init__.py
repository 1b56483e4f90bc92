"""localcloud's state on disk, so that a killed server can be started again with what it had."""
