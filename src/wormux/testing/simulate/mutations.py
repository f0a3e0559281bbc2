"""placeholder"""

MUTATIONS: dict[str, str] = {}
