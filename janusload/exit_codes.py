"""What the exit codes of the command line mean."""

PASSED = 0
ERROR = 1  # of the tool or its surroundings
USAGE = 2
THRESHOLD = 3  # a limit was crossed, or the server stopped working
INCONCLUSIVE = 4  # the generator or the sample size was the limit
