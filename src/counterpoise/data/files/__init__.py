"""Files on disk: cache, downloads, new folders, safe reading, fingerprints."""
