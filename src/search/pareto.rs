//! Pareto fronts (Deb et al. 2002, NSGA-II): sorting by domination, and crowding within a front.

/// Whether `a` is nowhere worse than `b` and somewhere better. Smaller values are better.
fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| a <= b) && a.iter().zip(b).any(|(a, b)| a < b)
}

/// Splits points into fronts, best first; smaller values are better. Each front lists positions in `points`, ascending.
pub fn fronts(points: &[Vec<f64>]) -> Vec<Vec<usize>> {
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

/// For each point, its front and how alone it is there: the order in which parents are chosen.
pub fn rank_and_crowding(points: &[Vec<f64>]) -> Vec<(usize, f64)> {
    let mut result = vec![(0, 0.0); points.len()];
    for (rank, front) in fronts(points).into_iter().enumerate() {
        for (position, distance) in front.iter().zip(crowding(points, &front)) {
            result[*position] = (rank, distance);
        }
    }
    result
}

/// Sum over the objectives of the gap between a point's neighbours, as a share of the front's extent; infinite at the ends.
fn crowding(points: &[Vec<f64>], front: &[usize]) -> Vec<f64> {
    let mut distance = vec![0.0; front.len()];
    let objectives = points.first().map_or(0, Vec::len);
    for value in (0..objectives).map(|objective| move |at: usize| points[front[at]][objective]) {
        let mut order: Vec<usize> = (0..front.len()).collect();
        order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
        let (first, last) = (order[0], order[order.len() - 1]);
        (distance[first], distance[last]) = (f64::INFINITY, f64::INFINITY);
        let extent = value(last) - value(first);
        for near in order.windows(3).filter(|_| extent > 0.0) {
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
    use super::*;

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
