//! Pareto fronts (Deb et al. 2002, NSGA-II): sorting by domination, and crowding within a front.

use std::cmp::Ordering;

/// Whether `a` is nowhere worse than `b` and somewhere better. Smaller values are better.
fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// Splits points into fronts, best first; smaller values are better. Each front lists positions in `points`, ascending.
///
/// The efficient non-dominated sort of Zhang et al. 2015 (IEEE Trans. Evol. Comp. 19(2)): in lexicographic order nobody is
/// dominated by who comes later, and who is dominated within a front is dominated within every better one, so each point
/// finds its front by halving. O(n log n) for up to two objectives; for more, O(m n²) at worst.
pub fn fronts<P: AsRef<[f64]>>(points: &[P]) -> Vec<Vec<usize>> {
    let point = |at: usize| points[at].as_ref();
    let mut order: Vec<usize> = (0..points.len()).collect();
    // By value: 0.0 and -0.0 are equal here.
    order.sort_by(|&a, &b| point(a).partial_cmp(point(b)).unwrap_or(Ordering::Equal));
    let mut fronts: Vec<Vec<usize>> = vec![];
    for at in order {
        let beaten = |front: &Vec<usize>| match point(at) {
            // With two objectives the last of a front is the best of it in the second: only it can dominate.
            [] | [_] | [_, _] => front.last().is_some_and(|&last| dominates(point(last), point(at))),
            _ => front.iter().rev().any(|&other| dominates(point(other), point(at))),
        };
        let rank = fronts.partition_point(beaten);
        match fronts.get_mut(rank) {
            Some(front) => front.push(at),
            None => fronts.push(vec![at]),
        }
    }
    fronts.iter_mut().for_each(|front| front.sort_unstable());
    fronts
}

/// For each point, its front and how alone it is there: the order in which parents are chosen.
fn rank_and_crowding<P: AsRef<[f64]>>(points: &[P]) -> Vec<(usize, f64)> {
    let mut result = vec![(0, 0.0); points.len()];
    for (rank, front) in fronts(points).into_iter().enumerate() {
        for (position, distance) in front.iter().zip(crowding(points, &front)) {
            result[*position] = (rank, distance);
        }
    }
    result
}

/// Positions in `points`, best first: by front, the lonelier first within one, ties as they came.
pub fn best_first<P: AsRef<[f64]>>(points: &[P]) -> Vec<usize> {
    let order = rank_and_crowding(points);
    let mut best: Vec<usize> = (0..points.len()).collect();
    best.sort_by(|&a, &b| order[a].0.cmp(&order[b].0).then(order[b].1.total_cmp(&order[a].1)));
    best
}

/// Sum over the objectives of the gap between a point's neighbours, as a share of the front's extent; infinite at the ends.
fn crowding<P: AsRef<[f64]>>(points: &[P], front: &[usize]) -> Vec<f64> {
    let mut distance = vec![0.0; front.len()];
    let objectives = points.first().map_or(0, |point| point.as_ref().len());
    for value in (0..objectives).map(|objective| move |at: usize| points[front[at]].as_ref()[objective]) {
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
        let (first, last) = (order[0], order[order.len() - 1]);
        (distance[first], distance[last]) = (f64::INFINITY, f64::INFINITY);
        let extent = value(last) - value(first);
        for near in order.windows(3).filter(|_| extent > 0.0 && extent.is_finite()) {
            distance[near[1]] += (value(near[2]) - value(near[0])) / extent;
        }
    }
    distance
}

/// Picks up to `count` points of a front: the best in the first objective, then always the one farthest from those picked
/// (each objective scaled to the front's extent). Ties go to the earlier point.
pub fn spread(points: &[Vec<f64>], front: &[usize], count: usize) -> Vec<usize> {
    let objectives = points.first().map_or(0, Vec::len);
    let ends = |objective: usize| {
        let values = front.iter().map(|&at| points[at][objective]);
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| (least.min(value), most.max(value)))
    };
    let extents: Vec<f64> = (0..objectives).map(|objective| ends(objective).1 - ends(objective).0).collect();
    let distance = |a: usize, b: usize| -> f64 {
        let gap = |objective: usize| (points[a][objective] - points[b][objective]) / extents[objective];
        (0..objectives).filter(|&objective| extents[objective] > 0.0).map(|objective| gap(objective).powi(2)).sum()
    };
    let mut picked: Vec<usize> =
        front.iter().copied().min_by(|&a, &b| points[a][0].total_cmp(&points[b][0])).into_iter().collect();
    while picked.len() < count.min(front.len()) {
        let alone = |at: usize| picked.iter().map(|&other| distance(at, other)).fold(f64::INFINITY, f64::min);
        let left = front.iter().copied().filter(|at| !picked.contains(at));
        let farthest = left
            .fold(None, |best: Option<usize>, at| if best.is_none_or(|best| alone(at) > alone(best)) { Some(at) } else { best });
        picked.extend(farthest);
    }
    picked
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::arch::stream::stream;

    /// The definition: whoever nobody left dominates makes the next front. O(m n²) each.
    fn naive_fronts(points: &[Vec<f64>]) -> Vec<Vec<usize>> {
        let mut left: Vec<usize> = (0..points.len()).collect();
        let mut fronts = vec![];
        while !left.is_empty() {
            let beaten = |&a: &usize| left.iter().any(|&b| dominates(&points[b], &points[a]));
            let front: Vec<usize> = left.iter().copied().filter(|a| !beaten(a)).collect();
            left.retain(|position| !front.contains(position));
            fronts.push(front);
        }
        fronts
    }

    #[test]
    fn fronts_are_those_of_the_definition() {
        let mut rng = stream(1, "points", 0);
        for round in 0..400 {
            let (count, objectives, levels) = (round % 41, 1 + round % 4, [3, 10, 1000][round % 3]);
            let mut value = || [-0.0, 1.0, 2.0, f64::INFINITY][rng.random_range(0..4)] * f64::from(rng.random_range(0..levels));
            let mut number = || Some(value()).filter(|value| !value.is_nan()).unwrap_or(0.0);
            let points: Vec<Vec<f64>> = (0..count).map(|_| (0..objectives).map(|_| number()).collect()).collect();
            assert_eq!(fronts(&points), naive_fronts(&points), "{points:?}");
        }
    }

    #[test]
    fn the_toy_of_five_points() {
        let toy = [[1.0, 5.0], [2.0, 3.0], [4.0, 1.0], [3.0, 4.0], [5.0, 5.0]];
        assert_eq!(fronts(&toy), [vec![0, 1, 2], vec![3], vec![4]]);
        assert_eq!(crowding(&toy, &[0, 1, 2]), [f64::INFINITY, 2.0, f64::INFINITY]);
        assert_eq!(best_first(&toy), [0, 2, 1, 3, 4]);
    }

    fn points() -> Vec<Vec<f64>> {
        [[1.0, 5.0], [2.0, 3.0], [4.0, 1.0], [3.0, 4.0], [5.0, 5.0], [2.0, 3.0]].map(Vec::from).to_vec()
    }

    #[test]
    fn fronts_by_hand() {
        assert_eq!(fronts(&points()), [vec![0, 1, 2, 5], vec![3], vec![4]]);
    }

    #[test]
    fn crowding_by_hand() {
        let line = [[0.0, 4.0], [1.0, 3.0], [4.0, 0.0]].map(Vec::from);
        assert_eq!(crowding(&line, &[0, 1, 2]), [f64::INFINITY, 2.0, f64::INFINITY]);
    }

    #[test]
    fn one_objective_makes_fronts_of_equals() {
        assert_eq!(fronts(&[vec![2.0], vec![1.0], vec![2.0]]), [vec![1], vec![0, 2]]);
    }

    #[test]
    fn the_spread_begins_with_the_best_and_takes_the_other_end_next() {
        assert_eq!(spread(&points(), &[0, 1, 2, 5], 3), [0, 2, 1]);
        assert_eq!(spread(&points(), &[0], 3), [0]);
    }
}
