"""Pure decisions of the content half: no I/O, no clock, no thread; only the standard library and this package."""
