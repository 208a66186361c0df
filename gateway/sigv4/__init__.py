"""AWS Signature Version 4, as pure steps: parse, canonicalise, sign, decode chunks."""
