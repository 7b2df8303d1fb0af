"""What holds for every test."""

from hypothesis import settings

# A shared machine can stall an example for any length of time: that is no finding.
settings.register_profile("keyturn", deadline=None, print_blob=True)
settings.load_profile("keyturn")
