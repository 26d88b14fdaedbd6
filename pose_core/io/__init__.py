"""Read, write, lock and download files."""
