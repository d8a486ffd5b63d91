"""One run: its parameters, the values between its tasks, its errors and its outcome."""
