"""Recordings that Janus wrote: are they whole, and what do they do to memory and disk.

`mjr` and `wav` read the two formats, `check` says of a file or a folder what is whole and what is not, `listen` says
whose tones are in a recording. Everything here only reads.
"""
