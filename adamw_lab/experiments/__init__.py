"""Experiments: typed notebook parameters, points and their execution, the run store, the named studies."""

from adamw_lab.experiments.batch import run_points
from adamw_lab.experiments.catalogue import STUDIES, Profile, Study, find_study
from adamw_lab.experiments.executors import LocalExecutor, make_executor
from adamw_lab.experiments.gridrun import plan_grid, run_grid
from adamw_lab.experiments.grids import Grid, parse_axis, read_grid
from adamw_lab.experiments.parameters import check_parameters, collect_parameters, inspect_parameters
from adamw_lab.experiments.points import Outcome, Point
from adamw_lab.experiments.register import register
from adamw_lab.experiments.store import load_history, load_runs, run_name, write_json
from adamw_lab.experiments.study import record_study, run_study
from adamw_lab.experiments.tables import load_table, record_table, train_again

__all__ = ["STUDIES", "Grid", "LocalExecutor", "Outcome", "Point", "Profile", "Study", "check_parameters",
           "collect_parameters", "find_study", "inspect_parameters", "load_history", "load_runs", "load_table",
           "make_executor", "parse_axis", "plan_grid", "read_grid", "record_study", "record_table", "register",
           "run_grid", "run_name", "run_points", "run_study", "train_again", "write_json"]
