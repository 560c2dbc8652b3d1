"""The data folder: database, journal, media files, score log."""
