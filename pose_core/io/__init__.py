"""Files, images and downloads: how bytes get in and out."""
