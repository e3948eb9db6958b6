from adamw_lab.bench import selection


def test_one_small_row():
    (row,) = selection.bench_selection(sizes=(3_000,), repeats=1)
    assert row["elements"] == 3_000 and row["largest_tensor_bytes"] == 12_000
    assert row["ratio"] == row["kthvalue_seconds"] / row["kth_smallest_seconds"] > 0
    assert row["kth_smallest_bytes"] >= 0 and row["kthvalue_bytes"] >= 0


def test_a_copy_shows_as_transient_memory():
    assert selection._in_fresh_process("kthvalue", 30_000_000) > 8 * 30_000_000
    assert selection._in_fresh_process("kth_smallest", 30_000_000) <= 4 * selection.LARGEST
