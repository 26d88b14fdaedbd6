"""Refuse answers that would make a plugin that cannot be installed or found."""

import re
import sys

NAME = "{{ cookiecutter.name }}"
NAMESPACE = "{{ cookiecutter.namespace }}"
AUTHOR = """{{ cookiecutter.author }}"""

if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*", NAME):
    sys.exit(f"name: {NAME!r} must be a word of letters, digits, - and _ that begins with a letter")
if not re.fullmatch(r"[a-z][a-z0-9_]*", NAMESPACE):
    sys.exit(f"namespace: {NAMESPACE!r} must be a word of small letters, digits and _ that begins with a letter")
if not AUTHOR.strip() or '"' in AUTHOR or "\\" in AUTHOR or "\n" in AUTHOR:
    sys.exit("author: must be a name without quotes and backslashes")
if AUTHOR.strip() == "pose_core developers":
    sys.exit("author: write your own name; 'pose_core developers' marks the plugins that are released with the core")
