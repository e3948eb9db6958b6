"""The figure of detectors shows how much of what each calls is right, and how much it finds."""

from adamw_lab.figures.detection import THRESHOLDS, detectors_figure


def test_finding_more_goes_with_more_false_calls():
    precision, recall = detectors_figure().axes
    for line in recall.lines:
        found = line.get_ydata()
        assert list(line.get_xdata()) == list(THRESHOLDS) and (found[:-1] >= found[1:]).all() and 0 < found[-1] < 100
    for line in precision.lines:
        assert line.get_ydata()[0] < 30 and line.get_ydata()[-1] == 100
