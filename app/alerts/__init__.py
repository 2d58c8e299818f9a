"""Tells people what goes wrong and when it is over. Never delays syncing, never decides about nodes or
records.

signals.py   what happened, in the alerts' words          (Raised, Cleared, Mistake, Gone)
core.py      one alert per condition and object, grouped, repeated, silenced      → Notice
service.py   feeds the core from any thread, stores its state with what it wants told
outbox.py    one lane per channel: tries, waits, tries again until told or given up → Delivery
channels/    one file per way to tell somebody
"""
