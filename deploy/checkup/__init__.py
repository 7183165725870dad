"""Looks at a host before and while Waggle runs on it, and says what to do about what it finds."""
