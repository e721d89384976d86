//! Rules that hold for every profile.

use proptest::prelude::*;

use super::*;

const PROFILES: [Profile; 3] = [Profile::AeadAes128Gcm, Profile::AeadAes256Gcm, Profile::Aes128CmSha1_80];
const SSRC: u32 = 0xcafe_babe;

/// Bytes of a test vector.
pub(super) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16).expect("a digit") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn pair(profile: Profile) -> (Sealer, Opener) {
    let key: Vec<u8> = (0x10..).take(profile.key_len()).collect();
    let salt: Vec<u8> = (0xa0..).take(profile.salt_len()).collect();
    (Sealer::new(profile, &key, &salt).expect("keys"), Opener::new(profile, &key, &salt).expect("keys"))
}

fn rtp(index: u64, header_len: usize, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x90, 0x60];
    packet.extend((index as u16).to_be_bytes());
    packet.extend([1, 2, 3, 4]);
    packet.extend(SSRC.to_be_bytes());
    packet.resize(header_len, 0x5a);
    packet.extend(payload);
    packet
}

fn rtcp(ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x81, 0xc9, 0, 7];
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

fn seal_rtp(sealer: &Sealer, plain: &[u8], header_len: usize, index: u64) -> Vec<u8> {
    let mut packet = plain.to_vec();
    packet.resize(plain.len() + MAX_OVERHEAD, 0xee);
    let len = sealer.seal_rtp(&mut packet, plain.len(), header_len, index).expect("sealed");
    packet.truncate(len);
    packet
}

fn seal_rtcp(sealer: &mut Sealer, plain: &[u8]) -> Option<Vec<u8>> {
    let mut packet = plain.to_vec();
    packet.resize(plain.len() + MAX_OVERHEAD, 0xee);
    let len = sealer.seal_rtcp(&mut packet, plain.len())?;
    packet.truncate(len);
    Some(packet)
}

fn open_rtcp(opener: &mut Opener, sealed: &[u8]) -> Option<Vec<u8>> {
    let mut packet = sealed.to_vec();
    let len = opener.open_rtcp(&mut packet)?;
    packet.truncate(len);
    Some(packet)
}

/// From master keys to the wire, as calculated with another implementation of AES, GCM and HMAC.
#[test]
fn packets_are_those_of_an_independent_calculation() {
    let expected = [
        (
            "900f1234decafbadcafebabebede000110aa00007b065d33bd7aac883b86ecdf931cf26f25c0028047e185ccd9629ea571a402e492893385\
             771bcab114945cd2e377d1fd071d8ca4492d4b91",
            "81c90007cafebabe3528107c4c3eb89874928d1a61b89335aa7b70bc4991e1889c5558baaea29e2edae9ba83e74bda9080000000",
        ),
        (
            "900f1234decafbadcafebabebede000110aa0000d00551fd8cad66faf08c28061573a638e9efca8428271f83771222d12fc4c281a707bb37\
             6825a7b5ff5ac1eb49c388e1a817ec22dd7078c0",
            "81c90007cafebabe5c082ffa2aa3c8008e7ce926a7026b4eb46b00b04dcf4f1c32214e8f4dd6f8859a07530f0ed00c1780000000",
        ),
        (
            "900f1234decafbadcafebabebede000110aa000000934390de59b685aaa298ef5f6d50fcc9a907cf57f4cb6b451404b8858634cd32be3657\
             189e228b505d613e0bba6d206068",
            "81c90007cafebabebd449760c4da91f1974352262226490cb03dd116eb451bb78000000016adf87c75126acfde8a",
        ),
    ];
    for (profile, (sealed_rtp, sealed_rtcp)) in PROFILES.into_iter().zip(expected) {
        let (mut sealer, _) = pair(profile);
        let mut plain = hex("900f1234decafbadcafebabebede000110aa0000");
        plain.extend(0..40);
        assert_eq!(seal_rtp(&sealer, &plain, 20, 0x0003_1234), hex(sealed_rtp), "{profile:?}");
        let payload: Vec<u8> = (0..24).collect();
        assert_eq!(seal_rtcp(&mut sealer, &rtcp(SSRC, &payload)), Some(hex(sealed_rtcp)), "{profile:?}");
    }
}

#[test]
fn keys_of_another_length_are_refused() {
    for profile in PROFILES {
        let (key, salt) = (vec![1; profile.key_len()], vec![1; profile.salt_len()]);
        assert!(Sealer::new(profile, &key, &salt).is_some());
        assert!(Sealer::new(profile, &key[1..], &salt).is_none());
        assert!(Opener::new(profile, &key, &salt[1..]).is_none());
    }
}

#[test]
fn sealing_without_room_changes_nothing() {
    for profile in PROFILES {
        let (mut sealer, _) = pair(profile);
        let plain = rtp(1, 12, &[7; 30]);
        let mut packet = plain.clone();
        packet.extend([0; 9]);
        let before = packet.clone();
        assert_eq!(sealer.seal_rtp(&mut packet, plain.len(), 12, 1), None, "{profile:?}");
        assert_eq!(sealer.seal_rtp(&mut packet, before.len() + 1, 12, 1), None);
        assert_eq!(sealer.seal_rtcp(&mut packet, plain.len()), None);
        assert_eq!(packet, before);
    }
}

#[test]
fn a_header_longer_than_the_packet_is_refused() {
    for profile in PROFILES {
        let (sealer, opener) = pair(profile);
        let mut packet = rtp(1, 12, &[7; 30]);
        packet.extend([0; MAX_OVERHEAD]);
        for header_len in [0, 11, 43, usize::MAX] {
            assert_eq!(sealer.seal_rtp(&mut packet, 42, header_len, 1), None, "{profile:?} {header_len}");
        }
        let sealed = seal_rtp(&sealer, &rtp(1, 12, &[7; 30]), 12, 1);
        for header_len in [0, 11, 43, sealed.len(), sealed.len() + 1, usize::MAX] {
            assert_eq!(opener.open_rtp(&mut sealed.clone(), header_len, 1), None, "{profile:?} {header_len}");
        }
    }
}

#[test]
fn an_index_that_is_not_the_packets_own_or_beyond_the_last_is_refused() {
    for profile in PROFILES {
        let (sealer, opener) = pair(profile);
        let mut packet = rtp(1, 12, &[7; 30]);
        packet.extend([0; MAX_OVERHEAD]);
        for index in [2, MAX_RTP_INDEX + 2, u64::MAX] {
            assert_eq!(sealer.seal_rtp(&mut packet, 42, 12, index), None, "{profile:?} {index}");
            assert_eq!(opener.open_rtp(&mut packet, 12, index), None, "{profile:?} {index}");
        }
    }
}

#[test]
fn a_packet_of_another_round_is_refused() {
    for profile in PROFILES {
        let (sealer, opener) = pair(profile);
        let mut sealed = seal_rtp(&sealer, &rtp(5, 12, &[7; 30]), 12, 5);
        assert_eq!(opener.open_rtp(&mut sealed, 12, 5 + (1 << 16)), None, "{profile:?}");
    }
}

#[test]
fn rtcp_is_opened_once() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = pair(profile);
        let plain: Vec<_> = (0..3).map(|ssrc| rtcp(ssrc, &[7; 20])).collect();
        let sealed: Vec<_> = plain.iter().map(|plain| seal_rtcp(&mut sealer, plain).expect("sealed")).collect();
        for at in [1, 0, 2] {
            assert_eq!(open_rtcp(&mut opener, &sealed[at]).as_ref(), Some(&plain[at]), "{profile:?}");
            assert_eq!(open_rtcp(&mut opener, &sealed[at]), None, "{profile:?}: replayed");
        }
    }
}

#[test]
fn equal_rtcp_packets_never_look_alike() {
    for profile in PROFILES {
        let (mut sealer, _) = pair(profile);
        let plain = rtcp(SSRC, &[7; 20]);
        let first = seal_rtcp(&mut sealer, &plain).expect("sealed");
        let second = seal_rtcp(&mut sealer, &plain).expect("sealed");
        assert_ne!(first[8..28], second[8..28], "{profile:?}");
    }
}

#[test]
fn rtcp_is_refused_once_its_indexes_are_used_up() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = pair(profile);
        sealer.next_rtcp = MAX_RTCP_INDEX;
        let plain = rtcp(SSRC, &[7; 20]);
        let last = seal_rtcp(&mut sealer, &plain).expect("the last");
        assert_eq!(open_rtcp(&mut opener, &last), Some(plain.clone()), "{profile:?}");
        assert_eq!(seal_rtcp(&mut sealer, &plain), None);
        assert_eq!(seal_rtcp(&mut sealer, &plain), None);
    }
}

/// With AES-CM it can be authentic: the tag covers whatever flag is there.
#[test]
fn rtcp_that_is_not_encrypted_is_refused() {
    let (_, mut opener) = pair(Profile::Aes128CmSha1_80);
    let Cipher::Counter(counter) = &opener.rtcp else { panic!("another cipher") };
    let mut packet = rtcp(SSRC, &[7; 20]);
    let tag = counter.tag(&packet, [0; 4]).expect("a tag");
    packet.extend([0; 4]);
    packet.extend(tag);
    assert_eq!(open_rtcp(&mut opener, &packet), None);
}

#[test]
fn forged_packets_change_nothing() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = pair(profile);
        let mut replay = Replay::default();
        for index in 65_000..65_010 {
            assert!(opener.open_rtp(&mut seal_rtp(&sealer, &rtp(index, 12, &[7; 30]), 12, index), 12, index).is_some());
            replay.accept(index);
        }
        let first = seal_rtcp(&mut sealer, &rtcp(SSRC, &[7; 20])).expect("sealed");
        assert!(open_rtcp(&mut opener, &first).is_some());
        let (replay_before, rtcp_before) = (replay.clone(), opener.rtcp_replay.clone());

        for forged in 0..100_000_u32 {
            let seq = forged.wrapping_mul(40_503) as u16;
            let index = replay.guess(seq);
            let mut packet = rtp(index, 12, &forged.to_be_bytes().repeat(8));
            if replay.is_new(index) && opener.open_rtp(&mut packet, 12, index).is_some() {
                replay.accept(index);
            }
            let mut packet = rtcp(SSRC.wrapping_add(forged % 5_000), &forged.to_be_bytes().repeat(8));
            packet.extend([0x80, 0, 1, 1]);
            packet.extend([0x80, 0, 1, 1, 0, 0, 0, 0, 0, 0].iter().take(if profile == Profile::Aes128CmSha1_80 { 10 } else { 0 }));
            assert_eq!(opener.open_rtcp(&mut packet), None);
        }
        assert_eq!(replay, replay_before, "{profile:?}");
        assert_eq!(opener.rtcp_replay, rtcp_before, "{profile:?}");

        let next = 65_536 + 3;
        assert_eq!(replay.guess(3), next);
        assert!(opener.open_rtp(&mut seal_rtp(&sealer, &rtp(next, 12, &[7; 30]), 12, next), 12, next).is_some());
    }
}

proptest! {
    #[test]
    fn what_was_sealed_opens_to_the_same(
        index in 0..=MAX_RTP_INDEX, header_len in 12usize..100, payload in prop::collection::vec(any::<u8>(), 0..1_300),
    ) {
        for profile in PROFILES {
            let (mut sealer, mut opener) = pair(profile);
            let plain = rtp(index, header_len, &payload);
            let mut sealed = seal_rtp(&sealer, &plain, header_len, index);
            prop_assert_eq!(&sealed[..header_len], &plain[..header_len], "the header stays readable");
            prop_assert_eq!(opener.open_rtp(&mut sealed, header_len, index), Some(plain.len()));
            prop_assert_eq!(&sealed[..plain.len()], &plain[..]);

            let plain = rtcp(SSRC, &payload);
            sealer.next_rtcp = (index >> 17) as u32;
            let sealed = seal_rtcp(&mut sealer, &plain).expect("sealed");
            prop_assert_eq!(open_rtcp(&mut opener, &sealed), Some(plain));
        }
    }

    /// A stream with loss, over many rounds: the receiver knows no more than the sequence numbers.
    #[test]
    fn a_stream_opens_over_rollovers(start in 0u64..1 << 16, steps in prop::collection::vec(1u64..32_768, 1..100)) {
        for profile in PROFILES {
            let (sealer, opener) = pair(profile);
            let (mut replay, mut index) = (Replay::default(), start);
            for step in &steps {
                let plain = rtp(index, 12, &step.to_be_bytes());
                let mut sealed = seal_rtp(&sealer, &plain, 12, index);
                let guessed = replay.guess(index as u16);
                prop_assert!(replay.is_new(guessed));
                prop_assert_eq!(opener.open_rtp(&mut sealed, 12, guessed), Some(plain.len()));
                replay.accept(guessed);
                index += step;
            }
        }
    }

    #[test]
    fn any_flipped_bit_is_refused(payload in prop::collection::vec(any::<u8>(), 0..60), index in 0u64..1 << 40, flip in any::<prop::sample::Index>()) {
        for profile in PROFILES {
            let (mut sealer, mut opener) = pair(profile);
            let mut sealed = seal_rtp(&sealer, &rtp(index, 16, &payload), 16, index);
            let bit = flip.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            // As a receiver would: it takes the index from what arrives.
            let seq = u64::from(u16::from_be_bytes([sealed[2], sealed[3]]));
            prop_assert_eq!(opener.open_rtp(&mut sealed, 16, index & !0xffff | seq), None, "{:?} bit {}", profile, bit);

            let mut sealed = seal_rtcp(&mut sealer, &rtcp(SSRC, &payload)).expect("sealed");
            let bit = flip.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(opener.open_rtcp(&mut sealed), None, "{:?} bit {}", profile, bit);
            prop_assert_eq!(&opener.rtcp_replay, &RtcpReplay::default(), "nothing is remembered of it");
        }
    }

    #[test]
    fn a_packet_of_another_length_is_refused(payload in prop::collection::vec(any::<u8>(), 0..60), cut in any::<prop::sample::Index>(), more in 1usize..40) {
        for profile in PROFILES {
            let (mut sealer, mut opener) = pair(profile);
            let sealed = seal_rtp(&sealer, &rtp(9, 12, &payload), 12, 9);
            let controlled = seal_rtcp(&mut sealer, &rtcp(SSRC, &payload)).expect("sealed");
            for whole in [&sealed, &controlled] {
                let mut shorter = whole[..cut.index(whole.len())].to_vec();
                prop_assert_eq!(opener.open_rtp(&mut shorter.clone(), 12, 9), None);
                prop_assert_eq!(opener.open_rtcp(&mut shorter), None);
                let mut longer = [&whole[..], &vec![0; more]].concat();
                prop_assert_eq!(opener.open_rtp(&mut longer.clone(), 12, 9), None);
                prop_assert_eq!(opener.open_rtcp(&mut longer), None);
            }
        }
    }

    #[test]
    fn no_bytes_or_lengths_break_it(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        len in prop_oneof![0usize..100, Just(usize::MAX)],
        header_len in prop_oneof![0usize..100, Just(usize::MAX)],
        index in prop_oneof![0u64..1 << 17, any::<u64>()],
    ) {
        for profile in PROFILES {
            let (mut sealer, mut opener) = pair(profile);
            let seq = bytes.get(2..4).map_or(0, |seq| u64::from(u16::from_be_bytes([seq[0], seq[1]])));
            for index in [index, index & !0xffff | seq] {
                prop_assert_eq!(opener.open_rtp(&mut bytes.clone(), header_len, index), None);
                let sealed = sealer.seal_rtp(&mut bytes.clone(), len, header_len, index);
                prop_assert!(sealed.is_none_or(|sealed| sealed > len && sealed <= bytes.len()));
            }
            prop_assert_eq!(opener.open_rtcp(&mut bytes.clone()), None);
            let sealed = sealer.seal_rtcp(&mut bytes.clone(), len);
            prop_assert!(sealed.is_none_or(|sealed| sealed > len && sealed <= bytes.len()));
        }
    }
}
