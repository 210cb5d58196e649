"""The exact nearest rows of a store of features, in bounded memory."""

import torch
from torch import Tensor

SPARE = 5  # rows on a shortlist beyond those that are asked for
CERTAINTY = 8  # how many times its usual size a rounding error may have
ROWS_AT_A_TIME = 512
NUMBERS_AT_A_TIME = 2**22  # features gathered at a time; 16 MB in float32
DIRECT = "donot_use_mm_for_euclid_dist"  # differences, not products, which cancel


def nearest_rows(features: Tensor, queries: Tensor, among: Tensor, num_nearest: int) -> Tensor:
    """Return for each queried row the rows that are nearest to it, itself left out.

    The distance is Euclidean; of rows at one distance those with lower numbers are taken.

    The answer is exact, and the same on any machine. Matrix products in float32 make a shortlist;
    where their rounding could change the answer, differences in float64 decide it. Memory beside
    the result does not grow with N.

    Source: Higham, Mary 2019, for the rounding of a product of length F: beyond
    :data:`CERTAINTY` times the square root of F units in the last place it is as good as
    impossible.

    Args:
        features: Shape ``(N, F)``, float32.
        queries: Rows of ``features``, each of them also in ``among``. Shape ``(Q,)``, int64.
        among: Rows that may be neighbours, in ascending order. Shape ``(P,)``, int64.
        num_nearest: How many neighbours a row gets, at most ``P - 1``.

    Returns:
        Rows of ``features``; each line in ascending order. Shape ``(Q, num_nearest)``, int64.
    """
    if num_nearest == 0:
        return queries.new_empty(len(queries), 0)
    width = min(num_nearest + SPARE, len(among) - 1)
    shortlist, least, most = _shortlist(features, queries, among, width + 1)
    nearest = shortlist[:, :num_nearest]

    # Where the first row left out might be as near as the last one taken, look closer.
    open_ = torch.nonzero(~(most[:, num_nearest - 1] < least[:, num_nearest])).flatten()
    nearest[open_], farthest = _nearest_listed(
        features, queries[open_], shortlist[open_, :width], num_nearest
    )
    open_ = open_[~(farthest < least[open_, width])]
    for some in open_.split(_rows_at_a_time(features)):
        nearest[some] = _nearest_by_differences(features, queries[some], among, num_nearest)
    return nearest.sort(dim=1).values


def _rows_at_a_time(features: Tensor) -> int:
    return max(1, min(ROWS_AT_A_TIME, NUMBERS_AT_A_TIME // max(1, features.shape[1])))


def _shortlist(
    features: Tensor, queries: Tensor, among: Tensor, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows that seem nearest, with the least and the most that their distances can be.

    A queried row itself is infinitely far. Distances are squared. All three have shape
    ``(Q, width)``; lines are in ascending order of distance.
    """
    size = _rows_at_a_time(features)
    centre = features[queries[:size]].mean(dim=0)  # near the queries, so that little cancels
    are_mutual = torch.equal(queries, among)  # then each product serves two parts
    itself = torch.searchsorted(among, queries)
    norms = features.new_empty(len(queries), 1)
    distances = features.new_full((len(queries), width), torch.inf)
    rows = queries.new_zeros(len(queries), width)
    for i in range(0, len(queries), size):
        asked = queries[i : i + size]
        own = features[asked] - centre
        norms[i : i + size] = _squared_lengths(own).unsqueeze(1)
        for j in range(i if are_mutual else 0, len(among), size):
            offered = among[j : j + size]
            found = _squared_distances(own, features[offered] - centre)
            places = itself[i : i + size] - j
            here = torch.nonzero((places >= 0) & (places < len(offered))).flatten()
            found[here, places[here]] = torch.inf
            _keep_nearest(distances[i : i + size], rows[i : i + size], found, offered)
            if are_mutual and j > i:
                _keep_nearest(distances[j : j + size], rows[j : j + size], found.T, asked)
    has_overflown = (~distances.isfinite()).sum(dim=1) > int(width == len(among))
    distances[has_overflown] = torch.nan  # of which no comparison holds
    unit = torch.finfo(features.dtype).eps / 2
    rounding = CERTAINTY * features.shape[1] ** 0.5 * unit
    # A distance is off by at most rounding * (|a| + |b|)^2, so by rounding * (2 |a| + distance)^2,
    # so by rounding * (8 |a|^2 + 2 distance^2).
    slack = 8 * rounding * norms
    return rows, distances * (1 - 2 * rounding) - slack, distances * (1 + 2 * rounding) + slack


def _squared_distances(own: Tensor, others: Tensor) -> Tensor:
    squares = torch.addmm(_squared_lengths(others), own, others.T, alpha=-2)
    return squares.add_(_squared_lengths(own).unsqueeze(1))


def _squared_lengths(features: Tensor) -> Tensor:
    """Return the squared length of each row, ``(B,)``, without holding the squares."""
    lengths: Tensor = torch.linalg.vector_norm(features, dim=1)
    return lengths.square()


def _keep_nearest(distances: Tensor, rows: Tensor, found: Tensor, offered: Tensor) -> None:
    """Change a part of a shortlist in place: of its rows and those offered keep the nearest."""
    width = distances.shape[1]
    lines = torch.nonzero((found < distances[:, -1:]).any(dim=1)).flatten()
    found, places = found[lines].topk(min(width, len(offered)), largest=False)
    both, order = torch.cat([distances[lines], found], dim=1).sort(dim=1)
    distances[lines] = both[:, :width]
    rows[lines] = torch.cat([rows[lines], offered[places]], dim=1).gather(1, order)[:, :width]


def _nearest_listed(
    features: Tensor, queries: Tensor, shortlist: Tensor, num_nearest: int
) -> tuple[Tensor, Tensor]:
    """Return the nearest of each row's own shortlist, and the farthest one's squared distance."""
    shortlist = shortlist.sort(dim=1).values
    at_a_time = max(1, _rows_at_a_time(features) // 4 // shortlist.shape[1])
    distances = [
        torch.cdist(
            features[some].double().unsqueeze(1), features[listed].double(), compute_mode=DIRECT
        ).squeeze(1)
        for some, listed in zip(queries.split(at_a_time), shortlist.split(at_a_time), strict=True)
    ]
    ordered, order = torch.cat(distances).sort(dim=1, stable=True)
    return shortlist.gather(1, order)[:, :num_nearest], ordered[:, num_nearest - 1].square()


def _nearest_by_differences(
    features: Tensor, queries: Tensor, among: Tensor, num_nearest: int
) -> Tensor:
    """Return the nearest of all rows, for the few queries whose distances agree too closely."""
    own = features[queries].double()
    distances, rows = own.new_empty(len(own), 0), queries.new_empty(len(own), 0)
    for part in among.split(max(1, _rows_at_a_time(features) // 8)):
        found = torch.cdist(own, features[part].double(), compute_mode=DIRECT)
        found.masked_fill_(queries.unsqueeze(1) == part, torch.inf)
        distances, order = torch.cat([distances, found], dim=1).sort(dim=1, stable=True)
        rows = torch.cat([rows, part.expand(len(own), -1)], dim=1).gather(1, order)
        distances, rows = distances[:, :num_nearest], rows[:, :num_nearest]
        if distances.shape[1] == num_nearest and not distances.any():
            break  # nothing is nearer than a copy, and later copies have higher numbers
    return rows
