//! Session keys from a master key: the AES-CM pseudo-random function of RFC 3711, section 4.3.

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// The master salt is 112 bits long; that of AES-GCM is filled up with zeros (RFC 7714, section 11).
const MAX_SALT_LEN: usize = 14;
/// Where the label goes: above the 48 bits of the index, which is 0 as keys are derived once.
const LABEL_AT: usize = 7;

/// Which keys are derived (RFC 3711, section 4.3.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct Labels {
    pub(super) encryption: u8,
    pub(super) authentication: u8,
    pub(super) salt: u8,
}

impl Labels {
    pub(super) const RTP: Self = Self { encryption: 0, authentication: 1, salt: 2 };
    pub(super) const RTCP: Self = Self { encryption: 3, authentication: 4, salt: 5 };
}

/// Derives as many bytes as are asked for. The length of the master key decides between AES-128 and AES-256
/// (RFC 6188, section 3); `None` if it is neither, or the salt is too long.
pub(super) fn derive<const LEN: usize>(key: &[u8], salt: &[u8], label: u8) -> Option<[u8; LEN]> {
    let algorithm = match key.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return None,
    };
    if salt.len() > MAX_SALT_LEN {
        return None;
    }
    let mut iv = [0; 16];
    iv.iter_mut().zip(salt).for_each(|(byte, salt)| *byte = *salt);
    *iv.get_mut(LABEL_AT)? ^= label;
    let mut derived = [0; LEN];
    let cipher = EncryptingKey::ctr(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
    cipher.less_safe_encrypt(&mut derived, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(derived)
}

#[cfg(test)]
mod tests {
    use super::super::tests::hex;
    use super::*;

    fn derives<const LEN: usize>(key: &str, salt: &str, label: u8, expected: &str) {
        assert_eq!(derive::<LEN>(&hex(key), &hex(salt), label).expect("derived").to_vec(), hex(expected));
    }

    #[test]
    fn keys_are_those_of_rfc_3711_appendix_b_3() {
        let (key, salt) = ("E1F97A0D3E018BE0D64FA32C06DE4139", "0EC675AD498AFEEBB6960B3AABE6");
        derives::<16>(key, salt, Labels::RTP.encryption, "C61E7A93744F39EE10734AFE3FF7A087");
        derives::<14>(key, salt, Labels::RTP.salt, "30CBBC08863D8C85D49DB34A9AE1");
        derives::<94>(
            key,
            salt,
            Labels::RTP.authentication,
            "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2\
             F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2",
        );
    }

    #[test]
    fn keys_from_256_bits_are_those_of_rfc_6188_section_7_4() {
        let (key, salt) = ("f0f04914b513f2763a1b1fa130f10e2998f6f6e43e4309d1e622a0e332b9f1b6", "3b04803de51ee7c96423ab5b78d2");
        derives::<32>(key, salt, Labels::RTP.encryption, "5ba1064e30ec51613cad926c5a28ef731ec7fb397f70a960653caf06554cd8c4");
        derives::<14>(key, salt, Labels::RTP.salt, "fa31791685ca444a9e07c6c64e93");
        derives::<20>(key, salt, Labels::RTP.authentication, "fd9c32d39ed5fbb5a9dc96b30818454d1313dc05");
    }

    #[test]
    fn a_salt_of_96_bits_is_filled_up_with_zeros() {
        let (key, salt) = ([7; 16], [9; 12]);
        let mut filled = salt.to_vec();
        filled.extend([0, 0]);
        for label in 0..6 {
            assert_eq!(derive::<16>(&key, &salt, label), derive::<16>(&key, &filled, label));
        }
    }

    #[test]
    fn keys_and_salts_of_another_length_are_refused() {
        assert_eq!(derive::<16>(&[0; 24], &[0; 14], 0), None);
        assert_eq!(derive::<16>(&[0; 16], &[0; 15], 0), None);
    }
}
