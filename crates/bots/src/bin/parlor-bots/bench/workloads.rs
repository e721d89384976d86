//! The workloads, in the order of the table.

use super::load::Load;
use super::server::Setting;
use super::sfu::Media;

/// In a room of more people than this, only the loudest are forwarded.
const ALL_TALKERS: &str = "media.all_talkers_up_to";
/// The setting of how many of them are forwarded.
const LOUDEST: &str = "media.loudest_talkers";
const FLUSH_INTERVAL: &str = "media.flush_interval_us";
const WORKERS: &str = "media.workers";

/// Everything, or of each kind a small one.
pub fn all(short: bool) -> Vec<Load> {
    let pick = |short_one: &[usize], full: &[usize]| if short { short_one.to_vec() } else { full.to_vec() };
    let mut loads: Vec<Load> = Vec::new();
    for people in pick(&[4, 8], &[8, 25, 50]) {
        loads.push(Load { peers: true, ..audio(format!("audio {people} talkers"), people) });
    }
    for receivers in pick(&[4], &[10, 50, 100]) {
        let name = format!("video 1 to {receivers}");
        loads.push(Load { media: Media::Video, peers: true, ..audio(name, receivers + 1) });
    }
    let people = if short { 4 } else { 25 };
    loads.push(with(audio(format!("audio {people}, 2 ms flush"), people), &[(FLUSH_INTERVAL, "2000")]));
    let (people, loud) = if short { (6, 2) } else { (100, 5) };
    let all = with(audio(format!("audio {people} all"), people), &[(ALL_TALKERS, "1000")]);
    loads.push(Load { or_without: true, ..all });
    let k = Load { media: Media::Audio { loud }, ..audio(format!("audio {people} k{loud}"), people) };
    let settings: [Setting; 2] = if short { [(LOUDEST, "2"), (ALL_TALKERS, "3")] } else { [(LOUDEST, "5"), (ALL_TALKERS, "50")] };
    loads.push(with(k, &settings));
    let (rooms, people) = if short { (3, 3) } else { (100, 8) };
    loads.push(Load { rooms, ..audio(format!("rooms {rooms} of {people}"), people) });
    let people = if short { 4 } else { 50 };
    for workers in ["1", "2"] {
        let name = format!("audio {people}, {workers} worker{}", if workers == "1" { "" } else { "s" });
        loads.push(Load { every_core: true, ..with(audio(name, people), &[(WORKERS, workers)]) });
    }
    loads
}

/// A workload of one room in which everybody talks.
fn audio(name: String, people: usize) -> Load {
    let media = Media::Audio { loud: people };
    Load { name, media, rooms: 1, people, settings: Vec::new(), or_without: false, peers: false, every_core: false }
}

fn with(load: Load, settings: &[Setting]) -> Load {
    Load { settings: settings.to_vec(), ..load }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_workload_has_a_name_of_its_own() {
        for short in [false, true] {
            let loads = all(short);
            let names: BTreeSet<&str> = loads.iter().map(|load| load.name.as_str()).collect();
            assert_eq!(names.len(), loads.len(), "{names:?}");
        }
    }

    #[test]
    fn a_quick_look_has_every_kind_of_load() {
        let kinds = |short| all(short).iter().map(|load| (load.settings.len(), load.peers, load.rooms > 1)).collect::<BTreeSet<_>>();
        assert_eq!(kinds(true), kinds(false));
    }
}
