//! What the estimator has to do on the links people have.

use super::sim::{Link, Sim};

const MEGABIT: u64 = 1_000_000;
const START: u64 = 300_000;

/// Seeds of the links; what is checked has to hold on each.
const SEEDS: std::ops::Range<u64> = 0..6;

/// A receiver that has found out about its link.
fn settled(rate: u64, seed: u64) -> Sim {
    let mut sim = Sim::new(Link::new(rate, seed), 1, START);
    sim.run(10_000);
    sim
}

#[test]
fn a_good_link_is_found_out_about_soon() {
    for seed in SEEDS {
        let mut sim = Sim::new(Link::new(5 * MEGABIT, seed), 1, START);
        let top = sim.until(2_000, |sim| sim.receivers[0].layer == 2);
        assert!(top.is_some(), "the best layer within two seconds");
        let seen = sim.run(30_000);
        assert_eq!(seen.switches, 0, "{seen:?}");
    }
}

#[test]
fn two_megabit_are_reached_within_five_seconds() {
    for seed in SEEDS {
        let mut sim = Sim::new(Link::new(2 * MEGABIT, seed), 1, START);
        let reached = sim.until(5_000, |sim| sim.estimate() >= 1_700_000);
        sim.run(3_000);
        let seen = sim.run(60_000);
        assert!(reached.is_some(), "{}", sim.estimate());
        assert!(seen.least > 1_500_000 && seen.most < 2_100_000 && seen.wait < 200, "{seen:?}");
    }
}

#[test]
fn a_link_that_drops_is_followed_within_two_seconds() {
    for seed in SEEDS {
        let mut sim = settled(MEGABIT, seed);
        assert_eq!(sim.receivers[0].layer, 1);
        sim.link.rate = 300_000;
        let below = sim.until(2_000, |sim| sim.estimate() < 330_000);
        let layer = sim.until(2_000, |sim| sim.receivers[0].layer == 0);
        let took = below.unwrap_or(2_000) + layer.unwrap_or(2_000);
        assert!(took < 2_000, "{below:?}, then {layer:?} ms for the layer");
        sim.run(3_000 - took);
        let seen = sim.run(27_000);
        assert!(seen.least > 150_000 && seen.most < 330_000 && seen.wait < 100, "{seen:?}");
    }
}

#[test]
fn a_link_that_recovers_is_followed_within_ten_seconds() {
    for seed in SEEDS {
        let mut sim = settled(300_000, seed);
        sim.run(20_000 + seed * 1_000);
        sim.link.rate = 2 * MEGABIT;
        let above = sim.until(10_000, |sim| sim.estimate() > 1_600_000);
        let top = sim.until(10_000 - above.unwrap_or(0), |sim| sim.receivers[0].layer == 2);
        assert!(above.is_some() && top.is_some(), "{}", sim.estimate());
    }
}

#[test]
fn random_loss_does_not_collapse_it() {
    for loss in [0.05, 0.10] {
        for seed in SEEDS {
            let mut sim = Sim::new(Link { loss, feedback_loss: loss, ..Link::new(2 * MEGABIT, seed) }, 1, START);
            let reached = sim.until(20_000, |sim| sim.estimate() > 1_200_000);
            let seen = sim.run(60_000);
            assert!(reached.is_some() && seen.least > 1_200_000, "{seen:?}");
        }
    }
}

#[test]
fn jitter_does_not_collapse_it() {
    for reorders in [false, true] {
        for seed in SEEDS {
            let mut sim = Sim::new(Link { jitter: 30_000, reorders, ..Link::new(2 * MEGABIT, seed) }, 1, START);
            let reached = sim.until(10_000, |sim| sim.estimate() > 1_400_000);
            let seen = sim.run(60_000);
            assert!(reached.is_some() && seen.least > 1_400_000, "{seen:?}");
        }
    }
}

#[test]
fn sending_little_does_not_lower_it() {
    for seed in SEEDS {
        let mut sim = settled(2 * MEGABIT, seed);
        let before = sim.estimate();
        sim.receivers[0].layers = &[60_000];
        sim.receivers[0].layer = 0;
        let seen = sim.run(60_000);
        assert!(seen.least >= before, "{seen:?}");
    }
}

#[test]
fn each_receiver_gets_the_best_layer_its_link_carries() {
    for (rate, layer) in [(5 * MEGABIT, 2), (MEGABIT, 1), (300_000, 0)] {
        for seed in SEEDS {
            let mut sim = settled(rate, seed);
            let lost = sim.receivers[0].audio_lost;
            let seen = sim.run(60_000);
            let receiver = &sim.receivers[0];
            assert_eq!((receiver.layer, seen.switches), (layer, 0), "{rate}: {seen:?}");
            assert_eq!(receiver.audio_lost, lost, "audio never suffers");
        }
    }
}

#[test]
fn two_receivers_share_a_link() {
    for seed in SEEDS {
        let mut sim = Sim::new(Link::new(2 * MEGABIT, seed), 1, START);
        sim.run(10_000);
        let late = Sim::new(Link::new(1, 0), 2, START).receivers.pop().expect("two");
        sim.receivers.push(late.starting_at(sim.now));
        sim.run(20_000);
        let mut sums = [0, 0];
        for _ in 0..60 {
            sim.run(1_000);
            sums.iter_mut().zip(&sim.receivers).for_each(|(sum, receiver)| *sum += receiver.bandwidth.estimate());
        }
        assert!(sums.iter().all(|sum| *sum / 60 > MEGABIT / 2), "{sums:?}");
    }
}

#[test]
fn a_link_that_vanishes_is_noticed_and_its_return_too() {
    for seed in SEEDS {
        let mut sim = settled(2 * MEGABIT, seed);
        let before = sim.estimate();
        sim.link.rate = 0;
        sim.run(1_500);
        let after = sim.estimate();
        sim.run(2_000);
        let later = sim.estimate();
        sim.link.rate = 2 * MEGABIT;
        let back = sim.until(10_000, |sim| sim.receivers[0].layer == 2);
        assert!(after <= before / 2 && later <= before / 4 && back.is_some());
    }
}
