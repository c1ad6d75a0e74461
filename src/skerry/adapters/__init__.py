"""The outside world behind our ports. Holds no policy."""
