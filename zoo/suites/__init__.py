"""Suites whose recipes are made from a catalogue that others publish: torchvision's metadata, timm's tables of results.

A recipe of such a suite is text, as in `configs/`, and depends on nothing else. `zoo.suites.known` lists the suites.
"""
