"""The pure state machine that owns all of a user's sessions. No input or output happens in here."""
