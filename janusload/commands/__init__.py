"""One module per command of the command line: `add` declares its arguments, a function of its own carries it out.

They are the hands of `cli.py`: together the only code that prints for people. Heavy imports stay inside the functions,
so that `--help` and faulty usage answer at once.
"""
