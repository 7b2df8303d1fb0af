"""What a client of Keyturn can rely on, checked from outside, over HTTP."""
