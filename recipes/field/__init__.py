"""The field benchmark: real recordings from fixed cameras, each scored by a head that was trained without its
source.
"""
