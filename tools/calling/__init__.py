"""Telephone calls without a telephony account: a provider of our own, whose lines are simulated or real SIP calls."""
