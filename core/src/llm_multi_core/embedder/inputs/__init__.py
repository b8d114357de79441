"""From every accepted form of input to an `Item`."""
