//! Sealing: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with nonces of chance, which 24 bytes have room for.
//!
//! What is sealed is bound to where it belongs ([`Place`]): moved to another row, it does not open.

use std::fmt;

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use super::KeyError;
use crate::random;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
/// By how much what is sealed is longer, in bytes.
pub const OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// A key. It is wiped from memory when it is dropped, and shows in no debug output.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// The kernel gives no chance.
    pub fn new() -> Result<Key, KeyError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        random::fill(&mut *key).map_err(KeyError::Chance)?;
        Ok(Key(key))
    }

    /// One that is there already; `None` if that is no key.
    pub fn from_slice(bytes: &[u8]) -> Option<Key> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Key(key))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Seals: nonce, ciphertext, tag.
    ///
    /// # Errors
    /// The kernel gives no chance.
    pub fn seal(&self, place: &Place, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut sealed = Vec::with_capacity(plain.len() + OVERHEAD_BYTES);
        sealed.resize(NONCE_BYTES, 0);
        random::fill(&mut sealed).map_err(KeyError::Chance)?;
        let nonce = XNonce::try_from(&*sealed).expect("so many bytes");
        sealed.extend_from_slice(plain);
        let body = (&mut sealed[NONCE_BYTES..]).into();
        let tag = self.cipher().encrypt_inout_detached(&nonce, &place.0, body).expect("shorter than 256 GiB");
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens what was sealed in that place.
    ///
    /// # Errors
    /// [`KeyError::Broken`]: it was changed, comes from another place, or was sealed with another key.
    pub fn open(&self, place: &Place, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let broken = || KeyError::Broken(place.to_string());
        let (nonce, rest) = sealed.split_at_checked(NONCE_BYTES).ok_or_else(broken)?;
        let (body, tag) = rest.split_at_checked(rest.len().wrapping_sub(TAG_BYTES)).ok_or_else(broken)?;
        let (nonce, tag) = (XNonce::try_from(nonce).expect("so many bytes"), Tag::try_from(tag).expect("so many bytes"));
        let mut plain = Zeroizing::new(body.to_vec());
        let opened = self.cipher().decrypt_inout_detached(&nonce, &place.0, plain.as_mut_slice().into(), &tag);
        opened.map_err(|_| broken())?;
        Ok(plain)
    }

    /// Seals a key.
    ///
    /// # Errors
    /// The kernel gives no chance.
    pub fn wrap(&self, place: &Place, key: &Key) -> Result<Vec<u8>, KeyError> {
        self.seal(place, key.as_bytes())
    }

    /// Opens a key.
    ///
    /// # Errors
    /// As [`Key::open`].
    pub fn unwrap(&self, place: &Place, wrapped: &[u8]) -> Result<Key, KeyError> {
        Key::from_slice(&self.open(place, wrapped)?).ok_or_else(|| KeyError::Broken(place.to_string()))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Where something sealed belongs: what it is, and the numbers that name it. It is the additional data of the cipher: the word, a zero,
/// and eight bytes for each number.
pub struct Place(Vec<u8>);

impl Place {
    /// For example `Place::new("party", &[incident, party])`.
    pub fn new(what: &str, numbers: &[i64]) -> Place {
        let mut bytes = what.as_bytes().to_vec();
        bytes.push(0);
        numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_be_bytes()));
        Place(bytes)
    }
}

/// For people: `party 12/7`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        f.write_str(&String::from_utf8_lossy(&self.0[..end]))?;
        for (i, number) in self.0[end..].get(1..).unwrap_or_default().chunks_exact(8).enumerate() {
            let number = i64::from_be_bytes(number.try_into().expect("eight bytes"));
            write!(f, "{}{number}", if i == 0 { ' ' } else { '/' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_key_in_the_right_place_opens_what_nobody_has_changed() {
        let (key, place) = (Key::new().unwrap(), Place::new("party", &[12, 7]));
        for plain in [&b""[..], b"Ada", &[7; 1000]] {
            let sealed = key.seal(&place, plain).unwrap();
            assert_eq!(sealed.len(), plain.len() + OVERHEAD_BYTES);
            assert_eq!(*key.open(&place, &sealed).unwrap(), plain);
            assert_ne!(key.seal(&place, plain).unwrap(), sealed, "each time with another nonce");
            assert!(Key::new().unwrap().open(&place, &sealed).is_err(), "another key");
            for other in [Place::new("party", &[12, 8]), Place::new("party", &[7, 12]), Place::new("file", &[12, 7])] {
                assert_eq!(key.open(&other, &sealed).unwrap_err().to_string(), KeyError::Broken(other.to_string()).to_string());
            }
            for at in 0..sealed.len() {
                let mut changed = sealed.clone();
                changed[at] ^= 1;
                assert!(key.open(&place, &changed).is_err(), "byte {at} was changed");
                assert!(key.open(&place, &sealed[..at]).is_err(), "cut off at {at}");
            }
        }
        assert_eq!(place.to_string(), "party 12/7");
        assert_eq!(format!("{key:?}"), "Key(…)");
        let wrapped = key.wrap(&place, &key).unwrap();
        assert!(key.unwrap(&place, &wrapped).unwrap() == key);
        assert!(key.unwrap(&place, &key.seal(&place, b"no key").unwrap()).is_err());
    }

    /// The example of draft-irtf-cfrg-xchacha-03 §A.3.1, put together as we store it: nonce, ciphertext, tag.
    #[test]
    fn it_is_the_cipher_that_it_says_it_is() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
        };
        let key = Key::from_slice(&hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f")).unwrap();
        let sealed = hex("404142434445464748494a4b4c4d4e4f5051525354555657\
             bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452\
             2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff921f9664c97637da9768812f615c68b13b52e\
             c0875924c1c7987947deafd8780acf49");
        let place = Place(hex("50515253c0c1c2c3c4c5c6c7"));
        let plain = key.open(&place, &sealed).unwrap();
        assert!(plain.starts_with(b"Ladies and Gentlemen of the class of '99"), "{}", String::from_utf8_lossy(&plain));
    }
}
