"""A network assembled from its spec, its weights, and the device that it is on."""
