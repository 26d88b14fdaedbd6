"""Work that several processes share, by files on a disk that all of them see; no torch."""
