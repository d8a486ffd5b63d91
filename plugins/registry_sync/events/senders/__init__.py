"""The senders of events: a module for each form of body."""
