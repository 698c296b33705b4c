"""The command line ``birnn``."""
