"""One run: its parameters, its work on the way between tasks, its errors and outcome."""
