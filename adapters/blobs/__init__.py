"""Where the bytes of packages lie: a folder, or a bucket."""
