"""Measurements; none of them is a test. Each module is a command: python -m benchmarks.plugins"""
