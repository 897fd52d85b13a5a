//! Takes the figures of one bundle in one view.

mod many;
mod observe;
mod place;

use std::path::Path;
use std::time::Duration;

use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::verdict::Context;
use rustix::mount::MountFlags;

use crate::bundles::Original;
use crate::figures::BundleKind;
use crate::figures::Row;
use crate::figures::Samples;
use crate::figures::Table;
use crate::figures::Who;
use crate::floor;
use crate::proof;
use crate::request::Programs;

pub(crate) use place::Floor;
pub(crate) use place::Place;

/// Rounds whose times are thrown away: caches of the kernel and of crun fill up.
const WARM_UP: usize = 3;

/// What every container runs.
pub(crate) const PAYLOAD: &str = "/bin/true";

/// Where state is kept during the measurement: a tmpfs, as /run is on any machine with containers.
pub(crate) fn mount_state(dir: &Path) -> Verdict {
    std::fs::create_dir(dir).context(dir.display())?;
    rustix::mount::mount(c"tmpfs", dir, c"tmpfs", MountFlags::empty(), c"mode=755")
        .context("a tmpfs for the state of runtimes")
}

/// Measures everything.
pub(crate) fn table(
    programs: &Programs,
    rounds: usize,
    view: View,
    kind: BundleKind,
) -> Verdict<Table> {
    let scratch = tempfile::tempdir()?;
    let state = scratch.path().join("state");
    mount_state(&state)?;
    let _unmounted_at_the_end = Unmount(&state);
    let original = Original::make(kind, view, scratch.path())?;
    let bundle = original.bundle(&scratch.path().join("floor"), &[PAYLOAD])?;
    let plan = floor::write(&bundle, &[PAYLOAD], &scratch.path().join("floor.plan"))?;
    let floor = Floor { program: programs.floor.clone(), plan };
    let mut places = Vec::new();
    for (who, program, options) in [
        (Who::Ours, &programs.ours, &["--backend", "native"][..]),
        (Who::Crun, &programs.crun, &[]),
        (Who::Runc, &programs.runc, &[]),
    ] {
        let dir = scratch.path().join(who.name());
        places.push(Place::new(who, program, options, &original, &dir, &state)?);
    }
    proof::check(&original, &places, &programs.floor, scratch.path())?;

    let mut samples = Samples::default();
    take_rounds(&places, &floor, rounds, &mut samples)?;
    if kind == BundleKind::Plain {
        many::creates(&places, &original, scratch.path(), rounds, &mut samples)?;
        many::list(&places, scratch.path(), rounds, &mut samples)?;
    }
    observe::peaks(&places, &programs.peak, rounds, &mut samples)?;
    let calls = observe::calls(&places, &floor, scratch.path(), &mut samples)?;
    let mut table = Table::new(view.to_string(), kind, &samples);
    table.floor_calls = calls;
    table.notes = original.notes;
    Ok(table)
}

/// Everybody once per round, in another order each time: what the kernel has just done for one (a grace
/// period, warm caches) helps or hinders the next.
fn take_rounds(places: &[Place], floor: &Floor, rounds: usize, samples: &mut Samples) -> Verdict {
    let exec: Vec<_> = places.iter().map(Place::running).collect::<Verdict<_>>()?;
    let mut unused = Samples::default();
    for round in 0..rounds + WARM_UP {
        let samples = if round < WARM_UP { &mut unused } else { &mut *samples };
        for index in order(round, places.len() + 1) {
            match places.get(index) {
                None => floor_round(floor, samples)?,
                Some(place) => {
                    place.life(samples)?;
                    samples.push(Row::Run, place.who, milliseconds(place.run()?));
                    samples.push(Row::Exec, place.who, milliseconds(place.exec()?));
                    samples.push(Row::Version, place.who, milliseconds(place.version()?));
                }
            }
        }
    }
    drop(exec);
    Ok(())
}

/// The `round`th permutation of `0..count`, by its number in the factorial system. Merely rotating would
/// leave everybody behind the same one in every round.
pub(crate) fn order(round: usize, count: usize) -> Vec<usize> {
    let (mut left, mut number): (Vec<usize>, _) = ((0..count).collect(), round);
    let mut order = Vec::new();
    while !left.is_empty() {
        let index = number % left.len();
        number /= left.len();
        order.push(left.remove(index));
    }
    order
}

/// The floor of a life, F, is the kernel's work once, and two more processes for start and delete; then
/// the floor of run, which comes after a life for everybody else, too.
fn floor_round(floor: &Floor, samples: &mut Samples) -> Verdict {
    let life = milliseconds(floor.run()?);
    let starts = [milliseconds(floor.start()?), milliseconds(floor.start()?)];
    samples.push(Row::Life, Who::Floor, life + starts[0] + starts[1]);
    samples.push(Row::Run, Who::Floor, milliseconds(floor.run()?));
    for start in starts {
        samples.push(Row::Version, Who::Floor, start);
    }
    Ok(())
}

/// The processors that this process may run on.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Takes a mount away again.
pub(crate) struct Unmount<'p>(pub(crate) &'p Path);

impl Drop for Unmount<'_> {
    fn drop(&mut self) {
        // The mount namespace ends with this process anyway.
        let _left = rustix::mount::unmount(self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_order_comes_up_once_and_everybody_follows_everybody() {
        let orders: BTreeSet<Vec<usize>> = (0..24).map(|round| super::order(round, 4)).collect();
        assert_eq!(orders.len(), 24);
        let pairs: BTreeSet<(usize, usize)> = orders
            .iter()
            .flat_map(|order| order.windows(2).map(|pair| (pair[0], pair[1])))
            .collect();
        assert_eq!(pairs.len(), 12, "each of four after each of the others");
        assert_eq!(super::order(24, 4), super::order(0, 4));
    }
}
