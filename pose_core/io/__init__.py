"""Read, write, lock and download files; read images and videos."""
