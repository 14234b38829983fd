"""Pure decisions: no I/O, no clock, no randomness, no logging. `decide.decide` is the way in."""
