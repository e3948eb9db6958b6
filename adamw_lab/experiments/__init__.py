"""Experiments: typed notebook parameters, points and their execution, the run store, the named studies."""

from adamw_lab.experiments.batch import Outcome, Point, run_points
from adamw_lab.experiments.catalogue import STUDIES, Profile, Study, find_study
from adamw_lab.experiments.parameters import check_parameters, collect_parameters, inspect_parameters
from adamw_lab.experiments.store import load_history, load_runs, run_name, write_json
from adamw_lab.experiments.study import record_study, run_study

__all__ = ["STUDIES", "Outcome", "Point", "Profile", "Study", "check_parameters", "collect_parameters",
           "find_study", "inspect_parameters", "load_history", "load_runs", "record_study", "run_name",
           "run_points", "run_study", "write_json"]
