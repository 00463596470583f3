"""The fast recurrences: how a sequence is computed and differentiated."""
