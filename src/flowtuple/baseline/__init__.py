"""Quantised values behind pcodec: what every result is compared with."""
