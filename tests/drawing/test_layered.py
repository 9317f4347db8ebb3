"""Layered layouts: rows follow the edges, boxes keep apart, lines meet no box but their own."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.drawing.crossings import Segment, reduce_crossings
from chainrule.drawing.layered import BOX_GAP, layered
from chainrule.drawing.ranks import mirrored, ranks

DIAMOND = [(0, 1), (0, 2), (1, 3), (2, 3)]


@st.composite
def graphs(draw):
    """(sizes, edges) of a graph without circles; an edge may occur twice."""
    count = draw(st.integers(1, 14))
    sizes = draw(
        st.lists(
            st.tuples(st.integers(20, 120), st.integers(14, 70)), min_size=count, max_size=count
        )
    )
    pairs = list(itertools.combinations(range(count), 2))
    edges = draw(st.lists(st.sampled_from(pairs), max_size=30)) if pairs else []
    names = draw(st.permutations(range(count)))
    return sizes, [(names[a], names[b]) for a, b in edges]


def corners(sizes, layout):
    return [
        (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        for (w, h), (x, y) in zip(sizes, layout.boxes, strict=True)
    ]


def check(sizes, edges, layout):
    boxes = corners(sizes, layout)
    for a, b in itertools.combinations(boxes, 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1], (a, b)
    for (source, target), line in zip(edges, layout.lines, strict=True):
        downwards = layout.rows[source] < layout.rows[target]
        for box, (x, y), bottom in (
            (source, line[0], downwards),
            (target, line[-1], not downwards),
        ):
            left, top, right, low = boxes[box]
            assert left <= x <= right
            assert y == pytest.approx(low if bottom else top)
        for (x0, y0), (x1, y1) in itertools.pairwise(line):
            # A piece goes straight down through a row, or lies in the gap between two rows.
            assert (y1 >= y0) if downwards else (y1 <= y0)
            for number, (left, top, right, low) in enumerate(boxes):
                beside = max(x0, x1) < left or right < min(x0, x1)
                over = max(y0, y1) <= top + 1e-6 or low - 1e-6 <= min(y0, y1)
                assert beside or over or number in (source, target)
    for left, top, right, low in boxes:
        assert left >= -1e-6 and right <= layout.width + 1e-6
        assert top >= -1e-6 and low <= layout.height + 1e-6


@settings(deadline=None, max_examples=60)
@given(graphs())
def test_any_graph_without_circles(graph):
    sizes, edges = graph
    layout = layered(sizes, edges)
    assert all(layout.rows[a] < layout.rows[b] for a, b in edges)
    check(sizes, edges, layout)
    assert layered(sizes, edges) == layout


@settings(deadline=None, max_examples=40)
@given(graphs(), st.data())
def test_any_graph_in_columns_whose_arrows_point_both_ways(graph, data):
    sizes, edges = graph
    levels = [data.draw(st.integers(0, 2)) for _ in sizes]
    rows = mirrored(len(sizes), edges, levels, [None] * len(sizes))
    assert rows is not None  # nothing ties the passes to each other
    for a, b in edges:
        if levels[a] == levels[b]:
            assert (rows[a] < rows[b]) == (levels[a] % 2 == 0)
        assert rows[a] != rows[b]
    layout = layered(sizes, edges, rows=rows, groups=levels)
    check(sizes, edges, layout)
    ends = {}
    for box, level in zip(corners(sizes, layout), levels, strict=True):
        left, right = ends.get(level, (box[0], box[2]))
        ends[level] = min(left, box[0]), max(right, box[2])
    columns = [ends[level] for level in sorted(ends)]
    assert all(a[1] < b[0] for a, b in itertools.pairwise(columns))


def test_chains_are_straight_and_close():
    layout = layered([(40, 20), (90, 20), (60, 30)], [(0, 1), (1, 2)])
    assert len({x for x, _ in layout.boxes}) == 1
    assert all(line[0][0] == line[-1][0] for line in layout.lines)
    pair = layered([(40, 20)] * 3, [(0, 2), (1, 2)])
    assert pair.boxes[1][0] - pair.boxes[0][0] == pytest.approx(40 + BOX_GAP)
    assert pair.boxes[2][0] == pytest.approx(sum(x for x, _ in pair.boxes[:2]) / 2)


def test_the_longest_chain_is_straight_and_leaves_stand_beside_it():
    # 0 -> 1 -> 2 -> 3; 2 and 3 take a leaf each, and a line from 0 skips to 3
    edges = [(0, 1), (1, 2), (4, 2), (0, 3), (2, 3), (5, 3)]
    layout = layered([(50, 20), (70, 20), (40, 20), (60, 20), (90, 20), (30, 20)], edges)
    places = [layout.boxes[box][0] for box in (0, 1, 2, 3)]
    assert places == pytest.approx([places[0]] * 4)
    straight = [layout.lines[edges.index(e)] for e in [(0, 1), (1, 2), (2, 3)]]
    assert all(len({round(x, 6) for x, _ in line}) == 1 for line in straight)


def test_sources_lie_just_above_what_reads_them_and_in_its_order():
    #  a chain 0 -> 1 -> 2 -> 3, whose last box also takes the leaf 4, and a leaf's chain 5 -> 6
    edges = [(0, 1), (1, 2), (2, 3), (4, 3), (5, 6), (6, 3)]
    assert ranks(7, edges) == [0, 1, 2, 3, 2, 1, 2]
    layout = layered([(40, 20)] * 7, edges)
    assert layout.boxes[2][0] < layout.boxes[4][0] < layout.boxes[6][0]


@pytest.mark.parametrize(
    ("edges", "fewest"),
    [
        (DIAMOND, 0),
        ([(0, 4), (1, 3), (2, 5), (0, 5), (1, 4)], 0),  # a path: 3-1-4-0-5-2
        ([(a, b) for a in range(3) for b in range(3, 6)], 9),  # K(3, 3)
        ([(0, 3), (1, 2)], 0),
    ],
)
def test_few_lines_cross(edges, fewest):
    rank = ranks(max(map(max, edges)) + 1, edges)
    rows = [[b for b in range(len(rank)) if rank[b] == r] for r in range(max(rank) + 1)]
    segments = [Segment(a, b, 0.0, 0.0) for a, b in edges]
    found = reduce_crossings(rows, segments, [0.0] * len(rank))
    place = {box: number for row in found for number, box in enumerate(row)}
    crossings = [
        (place[a] - place[c]) * (place[b] - place[d]) < 0
        for (a, b), (c, d) in itertools.combinations(edges, 2)
        if rank[a] == rank[c]
    ]
    assert sum(crossings) == fewest


def test_a_gradient_lies_beside_its_variables():
    # w -> f -> g forward; the gradients of g and of f, whose rules are those of g and f
    edges = [(0, 1), (1, 2), (3, 4), (1, 3), (0, 4)]
    rows = mirrored(5, edges, [0, 0, 0, 1, 1], [None, None, None, 2, 1])
    assert rows[0] < rows[1] < rows[2]
    assert rows[0] < rows[4] < rows[1] < rows[3] < rows[2]


def test_circles_and_level_edges_are_refused():
    with pytest.raises(ValueError, match="form a circle"):
        layered([(9, 9)] * 3, [(0, 1), (1, 2), (2, 1)])
    with pytest.raises(ValueError, match="joins two boxes of one row"):
        layered([(9, 9)] * 2, [(0, 1)], rows=[1, 1])
    assert layered([], []).boxes == []


def test_lines_from_one_box_to_a_long_chain_are_laid_out_up_to_a_bound():
    def chain(count):
        return [(i, i + 1) for i in range(count)] + [(0, i) for i in range(2, count + 1)]

    found = layered([(10, 10)] * 61, chain(60))
    check([(10, 10)] * 61, chain(60), found)
    assert all(len(line) <= 6 for line in found.lines)  # straight on from row to row
    with pytest.raises(ValueError, match=r"701 boxes.* have 244,650 bends, is too large.*to_dot"):
        layered([(10, 10)] * 701, chain(700))
