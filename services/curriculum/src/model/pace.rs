/// The usual minutes of a lesson.
const USUAL_MINUTES: u32 = 90;
/// Timetables count in fives.
const GRAIN: u32 = 5;

/// The minutes of each lesson of a module of `total` minutes: `max(1, round(total / 90))` lessons, as equal as multiples of
/// five allow, whose sum is `total` to the minute. Each has 60 to 180 minutes where `total` is 60 or more.
pub(crate) fn lesson_minutes(total: u32) -> Vec<u32> {
    let lessons = ((total + USUAL_MINUTES / 2) / USUAL_MINUTES).max(1);
    let (grains, rest) = (total / GRAIN, total % GRAIN);
    let (each, longer) = (grains / lessons, grains % lessons);
    let grains = |number: u32| if number < longer { each + 1 } else { each };
    let minutes = |number: u32| grains(number) * GRAIN + if number + 1 == lessons { rest } else { 0 };
    (0..lessons).map(minutes).collect()
}

/// Shares `total` minutes out in proportion to `weights`: in steps of five where there are enough of them, at least one
/// minute each, and `total` to the minute. `total` is at least the number of weights.
pub(crate) fn apportion(total: u32, weights: &[u32]) -> Vec<u32> {
    let count = u32::try_from(weights.len()).unwrap_or(u32::MAX);
    let grain = if total >= count * 2 * GRAIN { GRAIN } else { 1 };
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum::<u64>().max(1);
    let grains = u64::from(total / grain);
    let whole = |weight: &u32| grains * u64::from(*weight) / sum;
    let mut shares: Vec<u32> =
        weights.iter().map(|weight| u32::try_from(whole(weight)).unwrap_or(total).max(1) * grain).collect();
    // The rest of rounding down goes to those that lost most by it.
    let mut by_loss: Vec<usize> = (0..weights.len()).collect();
    by_loss.sort_by_key(|index| std::cmp::Reverse(grains * u64::from(weights[*index]) % sum));
    for index in by_loss {
        if shares.iter().sum::<u32>() + grain <= total {
            shares[index] += grain;
        }
    }
    // The minimum of one may have given out more than there is, and minutes beside the grain are left: the longest
    // one settles both.
    loop {
        let given: u32 = shares.iter().sum();
        let Some(longest) = shares.iter_mut().max() else { return shares };
        if given <= total {
            *longest += total - given;
            return shares;
        }
        *longest -= (given - total).min(*longest - 1).min(grain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lessons_of_any_module_are_exact_and_of_a_bearable_length() {
        for total in 1..=30_000 {
            let lessons = lesson_minutes(total);
            assert_eq!(lessons.iter().sum::<u32>(), total);
            assert_eq!(lessons.len(), (f64::from(total) / 90.0).round().max(1.0) as usize, "{total}");
            if total >= 60 {
                assert!(lessons.iter().all(|minutes| (60..=180).contains(minutes)), "{total}: {lessons:?}");
            }
        }
        assert_eq!(lesson_minutes(900), [90; 10]);
        assert_eq!(lesson_minutes(600), [90, 85, 85, 85, 85, 85, 85]);
        assert_eq!(lesson_minutes(20), [20]);
    }

    #[test]
    fn shares_are_exact_and_nobody_goes_without() {
        for total in 5..=400 {
            for weights in [&[10, 25, 35, 15, 15][..], &[1, 1_000, 1], &[0, 0, 7, 0, 0], &[1; 5], &[3]] {
                let shares = apportion(total, weights);
                assert_eq!(shares.iter().sum::<u32>(), total, "{total} {weights:?}");
                assert!(shares.iter().all(|share| *share > 0), "{total} {weights:?}: {shares:?}");
            }
        }
        assert_eq!(apportion(90, &[10, 25, 35, 15, 15]), [10, 20, 30, 15, 15]);
    }
}
