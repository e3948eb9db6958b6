"""YAML as people write numbers in it."""

import re

import yaml


class Yaml(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, as YAML 1.2 has it; PyYAML alone makes it a string."""


Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?|\d*\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)
