"""Measure `zoo audit` on honest cards and on cards with planted faults, all made from real confusion matrices.

python -m benchmarks.audit            print the tables
python -m benchmarks.audit --write    write them into docs/audit.md
"""
