"""The field benchmark: real recordings from fixed cameras, each judged by a head that never saw its source."""
